-- apply: every change of a partition goes through here: an ordered list of operations, judged all
-- before the first write, told in one event message.
--
-- It is one script in several files, which scripts.c joins in this order: apply.lua judges what
-- concerns entries, users.lua says how users are, apply_users.lua and apply_rooms.lua judge what
-- concerns users and rooms, apply_registry.lua what concerns entries without a connection,
-- apply_write.lua goes through the operations, writes and tells.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 node:<self>  5 events (channel)
--       then of each operation client:<id>, and after it node:<other> for orphan_node and
--       forget_node; user:<user> for offline; room:<name> for join, leave, evict_member and publish
--       Further keys, of the same partition and so in the same slot, are made from head's prefix, as a
--       front-end does not know whose an entry is: user:<user>, members:<node>, registered; channels
--       from that of events: presence:<name>, room:<name>.
-- ARGV  1 epoch  2 node  3 link (number)  4 batch before (number)  5 batch (number)
--       6 limits: "<client ttl ms> <grace ms> <most entries> <hold of presence ms>"
--       then per operation:
--         update  session version state
--         open    session n {field value}      (n strings)
--         alone   session n {field value}      (open, if the user has no other device)
--         restore session version n {field value}
--         refresh session version n {field value}      (restore, if the entry is there and this session's)
--         claim   session version rule n {field value}
--         set     session version n {field value} m {field}      (m fields are deleted)
--         resume  session resume n {field value}
--         close   session rule
--         orphan  session
--         ended   session since version      (the entry of that id had ended before Redis came back older)
--         reap
--         orphan_node node
--         forget_node node
--         offline
--         register first restores n {field value}      (first: ms until it is asked, or ends;
--                  restores: 1, only if there is none)
--         unregister
--         probe
--         probe_soon
--         join    member user most number    (most: members that a room may have)
--         leave   member number
--         evict_member member node    (the member's, whose lease has ended)
--         publish member number message
--         version: decimal; of claim "=N", "~B" the low byte of it (RFC 1982), or "+": one more
--         rule: who may adopt: "any", "off", the address that it must have come from, or "tls
--         certificate": anybody, and who brings the entry's certificate even while its connection lives
--         field value: the first is "state", or the entry has none and is made of fields. Then
--         nobody may adopt it but who brings what its field `resume` holds.
-- Returns one string: "ok <revision> <now>" and a line per operation, or, when nothing was judged,
--       "epoch", "link", "lease" (say hello again) or "order" (an earlier batch is missing).
--   lines: of what has ended an entry "ok ended <since> <session> <version>"; else "ok [version]", "stale", "owned <node> <lease end>", "dead <node>" (orphan_node goes first),
--          "missing", "exists", "limit", "type", "waits"; "taken id" (the new entry's id is a present
--          user's), "taken user" (the id of the new device's user is an entry's); of join "ok seq"; of probe "ok
--          number"; "held <node> <lease end>" (it may be taken over once its connection there has let
--          go of it); of resume "ok version
--          length": behind the last line's end stand, for each such line, that many bytes: its
--          fields, as in events
local head, nodes, deadlines, mine, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, node, link = ARGV[1], ARGV[2], ARGV[3]
local call = redis.call

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local h = call('HMGET', head, 'epoch', 'revision', 'link:' .. node, 'hold_until', 'entries')
if h[1] ~= epoch then return 'epoch' end
if h[3] ~= link .. ' ' .. ARGV[4] then
    return string.match(h[3] or '', '^%d+') == link and 'order' or 'link'
end
local revision, entries = tonumber(h[2] or 0), tonumber(h[5] or 0)
local holding = now < tonumber(h[4] or 0)
local lease = tonumber(call('ZSCORE', nodes, node) or 0)
if lease == 0 or (lease < now and not holding) then return 'lease' end

local function integer(n) return string.format('%d', n) end
-- Decimal strings: clients use all 63 bits, and Lua's numbers end at 2^53.
local function newer(a, b) return #a > #b or (#a == #b and a > b) end
local LARGEST = '9223372036854775807'

-- Nearly every batch is nothing but updates by the entries' owners. Judged and written here it
-- costs Redis two thirds of the general way when it has one operation, and a sixth less when it
-- has many, as most of what follows need not be made. Whatever is not just that leaves before the
-- first write, with nil, and is judged again below.
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
        if session ~= session_of[entry] or not newer(version, stored[entry])
           or newer(version, LARGEST) then
            return nil
        end
        stored[entry] = version
    end
    call('HSET', head, 'link:' .. node, link .. ' ' .. ARGV[5], 'revision',
         integer(revision + count))
    local told = {'1 ' .. epoch .. ' ' .. integer(revision + 1) .. ' ' .. count .. '\n'}
    local id_at = #head - 4 + #'client:' + 1
    key = 5
    for at = 7, #ARGV, 4 do
        key = key + 1
        local version, state = ARGV[at + 2], ARGV[at + 3]
        local id, pair = string.sub(KEYS[key], id_at), format('5 %d\nstate', #state)
        call('HSET', KEYS[key], 'version', version, 'state', state)
        told[key - 4] = format('update %d %d %d\n', #id, #version, #pair + #state) .. id ..
                        version .. pair .. state
    end
    call('PUBLISH', events, table.concat(told))
    return 'ok ' .. integer(revision + count) .. ' ' .. integer(now) .. string.rep('\nok', count)
end
local done = apply_updates()
if done then return done end

local ttl, grace, most, hold = string.match(ARGV[6], '^(%d+) (%d+) (%d+) (%d+)$')
grace, most, hold = tonumber(grace), tonumber(most), tonumber(hold)
local prefix = string.sub(head, 1, #head - 4)
local channels = string.sub(events, 1, #events - 6)

-- Lengths as text: Lua's own conversion goes through printf each time.
local text = setmetatable({}, {__index = function(t, n)
    t[n] = integer(n)
    return t[n]
end})

local function low_byte(v)
    local m = 0
    for i = 1, #v do m = (m * 10 + string.byte(v, i) - 48) % 256 end
    return m
end
local function plus(v, n)
    local digits, carry = {}, n
    for i = #v, 1, -1 do
        local d = string.byte(v, i) - 48 + carry
        digits[i] = d % 10
        carry = math.floor(d / 10)
    end
    return (carry > 0 and integer(carry) or '') .. table.concat(digits)
end

