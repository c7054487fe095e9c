-- apply: every change of a partition: an ordered list of operations, all judged before the first
-- write, and published in one event message.
--
-- It is joined from these files, in this order:
--   prelude.lua         the time
--   formats.lua         the formats of messages
--   apply.lua           the inputs; a fast path for updates by owners
--   apply_entries.lua   the state of entries, with the operations judged so far
--   apply_judge.lua     judges operations on entries
--   apply_read.lua      reads the operations' arguments
--   users.lua           the status of users
--   events.lua          the encoding of events
--   apply_users.lua     judges operations on users
--   apply_rooms.lua     judges and writes operations on rooms
--   apply_registry.lua  judges and writes operations on entries without a connection
--   apply_write.lua     judges all operations in their order, then writes and publishes them
--
-- KEYS  1 head  2 nodes  3 deadlines  4 node:<self>  5 events (channel)
--       then of each operation client:<id>, and after it node:<other> for orphan_node and
--       forget_node; user:<user> for offline; room:<name> for join, leave, evict_member and publish
--       Further keys of the same partition, and so of the same slot, are derived from head's prefix,
--       as a front-end does not know which user an entry belongs to: user:<user>, members:<node>,
--       registered; channels from that of events: presence:<name>, room:<name>.
-- ARGV  1 epoch  2 node  3 link (number)  4 previous batch (number)  5 batch (number)
--       6 limits: "<client ttl ms> <grace ms> <maximum of entries> <offline delay ms> <1: Redis's
--         memory is nearly full, so nothing new is stored; 0> <maximum of a user's devices>"
--       then per operation:
--         update  session version state
--         open    session n {field value}      (n strings)
--         alone   session n {field value}      (open, if the user has no other device)
--         restore session version n {field value}
--         refresh session version n {field value}      (restore, if the session has the entry)
--         claim   session version rule n {field value}
--         set     session version n {field value} m {field}      (m fields are deleted)
--         resume  session resume n {field value}
--         close   session rule
--         orphan  session
--         ended   session since version      (this entry was closed before Redis was restored)
--         reap
--         orphan_node node
--         forget_node node
--         offline
--         register first restores n {field value}      (first: ms until the first probe, or the end;
--                  restores: 1, only if there is none)
--         unregister
--         probe
--         probe_soon
--         join    member user maximum rooms number    (maximum: of the room's members; rooms: of the
--                  partition's, "full": there may be no new room, or "any": it was a member before)
--         leave   member number
--         evict_member member node    (the member's, whose lease has ended)
--         publish member number message
--         version: decimal; of claim "=N", "~B" (the next one with the low byte B, RFC 1982), or "+"
--         (the next one)
--         rule: who may adopt: "any", "off", the address from which the entry was opened, or "tls
--         <certificate>": any client, and the one with the entry's certificate even while its
--         connection is open
--         field value: the first field is "state", or the entry consists of fields only. Then only a
--         client that knows its field `resume` may adopt it.
-- Returns one string: "ok <revision> <now>" and a line per operation; or, when nothing was judged,
--       "epoch", "link", "lease" (call hello again) or "order" (an earlier batch is missing).
--   lines: "ok ended <since> <session> <version>" of a closed entry; else "ok [version]", "stale",
--          "owned <node> <lease end>", "dead <node>" (orphan_node first), "missing", "exists",
--          "limit", "full" (nothing new is stored), "type", "waits"; "taken id" (the new entry's id is a present user's), "taken user"
--          (the user of the new device has the id of an entry); of join "ok <seq>"; of probe
--          "ok <number>"; "held <node> <lease end>" (the client may adopt it once its connection
--          there is closed); of resume "ok <version> <length>": after the last line follow, for each
--          such line, that many bytes: the entry's fields, encoded as in events
--
-- Takes: call, now, integer (prelude.lua).
-- Gives: head, nodes, deadlines, mine, events, epoch, node, link, h (of head), revision, agreed (the
--        format to write), entries, in_recovery, is_newer, LARGEST, ttl, grace, max_entries,
--        offline_delay, is_full, max_devices, prefix, channels.
local head, nodes, deadlines, mine, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, node, link = ARGV[1], ARGV[2], ARGV[3]

local h = call('HMGET', head, 'epoch', 'revision', 'link:' .. node, 'hold_until', 'entries', 'format')
if h[1] ~= epoch then return 'epoch' end
if h[3] ~= link .. ' ' .. ARGV[4] then
    return string.match(h[3] or '', '^%d+') == link and 'order' or 'link'
end
local revision, entries = tonumber(h[2] or 0), tonumber(h[5] or 0)
local agreed = written_format(h[6])
local in_recovery = now < tonumber(h[4] or 0)
local lease = tonumber(call('ZSCORE', nodes, node) or 0)
if lease == 0 or (lease < now and not in_recovery) then return 'lease' end

-- Versions are decimal strings: clients use 63 bits, but Lua's numbers are exact only up to 2^53.
local function is_newer(a, b) return #a > #b or (#a == #b and a > b) end
local LARGEST = '9223372036854775807'

-- The fast path. Nearly all batches consist of updates by the entries' owners only. Here they cost
-- Redis a third less than in the general case when there is one operation, and a sixth less when
-- there are many, as most of the script's closures need not be created. Any other batch returns nil
-- before the first write, and is judged by the general case.
local function apply_updates()
    local format = string.format
    local stored, session_of, key, count = {}, {}, 5, (#ARGV - 6) / 4
    if count == 0 or count ~= #KEYS - 5 then return nil end
    for at = 7, #ARGV, 4 do
        key = key + 1
        local entry, session, version = KEYS[key], ARGV[at + 1], ARGV[at + 2]
        if ARGV[at] ~= 'update' then return nil end
        if not stored[entry] then
            local k = redis.pcall('HMGET', entry, 'session', 'version', 'node')
            if k[3] ~= node then return nil end
            session_of[entry], stored[entry] = k[1], k[2] or '0'
        end
        if session ~= session_of[entry] or not is_newer(version, stored[entry])
           or is_newer(version, LARGEST) then
            return nil
        end
        stored[entry] = version
    end
    call('HSET', head, 'link:' .. node, link .. ' ' .. ARGV[5], 'revision',
         integer(revision + count))
    local message = {event_head(agreed, epoch, integer(revision + 1), count)}
    local id_at = #head - 4 + #'client:' + 1
    key = 5
    for at = 7, #ARGV, 4 do
        key = key + 1
        local version, state = ARGV[at + 2], ARGV[at + 3]
        local id, pair = string.sub(KEYS[key], id_at), format('5 %d\nstate', #state)
        call('HSET', KEYS[key], 'version', version, 'state', state)
        message[key - 4] = format('update %d %d %d\n', #id, #version, #pair + #state) .. id ..
                        version .. pair .. state
    end
    call('PUBLISH', events, table.concat(message))
    return 'ok ' .. integer(revision + count) .. ' ' .. integer(now) .. string.rep('\nok', count)
end
local done = apply_updates()
if done then return done end

local ttl, grace, max_entries, offline_delay, is_full, max_devices =
    string.match(ARGV[6], '^(%d+) (%d+) (%d+) (%d+) (%d) (%d+)$')
is_full = is_full == '1'
grace, max_entries, offline_delay = tonumber(grace), tonumber(max_entries), tonumber(offline_delay)
max_devices = tonumber(max_devices)
local prefix = string.sub(head, 1, #head - 4)
local channels = string.sub(events, 1, #events - 6)

