-- repair: checks entries, users or rooms, one by one, for violations of the map's rules
-- (docs/invariants.md), and repairs them on request.
--
-- There are three scripts. Each is joined from prelude.lua, formats.lua, this file, users.lua,
-- events.lua, one of repair_entries.lua, repair_users.lua and repair_rooms.lua, and repair_publish.lua.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 events (channel)  5.. node:<node> of each front-end
--       then client:<id> of each entry, or user:<user> of each user, or room:<name> of each room and
--       of each listing
--       Further keys of the same partition, and so of the same slot, are derived from head's prefix:
--       client:<id>, user:<user>, members:<node>, presence:<name>, registered.
-- ARGV  1 "check" or "repair"  2 client ttl ms  3 grace ms  4 offline delay ms
--       5 a session for entries without one  6 number of front-ends, then their ids, then the names:
--       ids of entries, or users, or "=<room>" and listings: "+<node> <id> <room>", as in
--       members:<node>
-- Returns a list of texts "<number of the name, from 1> <rule>[ <node>]"; {"nodes"} when `nodes` has a
--       front-end that was not given; {"epoch"} when a repair is requested and there is no epoch.
--
-- Gives: head, nodes, deadlines, events, repairs, ttl, grace, offline_delay, session, prefix,
--        channels, agreed (the format to write), epoch, revision, in_recovery, index, lease,
--        has_lease, found, each_name.
local head, nodes, deadlines, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local repairs, ttl, grace = ARGV[1] == 'repair', ARGV[2], tonumber(ARGV[3])
local offline_delay, session, count = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local prefix = string.sub(head, 1, #head - 4)
local channels = string.sub(events, 1, #events - 6)

local h = call('HMGET', head, 'epoch', 'revision', 'hold_until', 'format')
local agreed, epoch, revision = written_format(h[4]), h[1], tonumber(h[2] or 0)
local in_recovery = now < tonumber(h[3] or 0)
if not epoch and repairs then return {'epoch'} end

-- The front-ends: index has the key of each one's listing, lease the end of its lease (0: none).
local index, lease = {}, {}
for i = 1, count do index[ARGV[6 + i]], lease[ARGV[6 + i]] = KEYS[4 + i], 0 end
local leases = call('ZRANGE', nodes, 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
    if not index[leases[i]] then return {'nodes'} end
    lease[leases[i]] = tonumber(leases[i + 1])
end
local function has_lease(node) return in_recovery or (lease[node] or 0) >= now end

local found = {}
local function make_reporter(number)
    return function(rule, node)
        found[#found + 1] = number .. ' ' .. rule .. (node and ' ' .. node or '')
    end
end
-- Calls check(name, key, report) for each name; report(rule, node) records a violation.
local function each_name(check)
    for i = 7 + count, #ARGV do
        local number = i - 6 - count
        check(ARGV[i], KEYS[4 + count + number], make_reporter(number))
    end
end
