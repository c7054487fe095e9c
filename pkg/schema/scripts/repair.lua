-- repair: looks at entries, users or rooms, one by one, for what the rules of the map forbid
-- (docs/invariants.md), and mends it when asked.
--
-- There are three scripts, each joined by fsck_judge.c of this file, users.lua, one of
-- repair_entries.lua, repair_users.lua and repair_rooms.lua, and repair_tell.lua.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 events (channel)  5.. node:<node> of each front-end
--       then client:<id> of each entry, or user:<user> of each user, or room:<name> of each room and
--       of each listing
--       Further keys, of the same partition and so in the same slot, are made from head's prefix:
--       client:<id>, user:<user>, members:<node>, presence:<name>, registered.
-- ARGV  1 "look" or "mend"  2 client ttl ms  3 grace ms  4 hold of presence ms
--       5 a session for entries that have none  6 count of front-ends, then their ids, then the names:
--       ids of entries, users, names of rooms; of a listing "<node> <id> <room>", as members:<node>
--       has it, behind a "+"; the names of rooms are then behind a "="
-- Returns a list of texts "<number of the name, from 1> <rule>[ <node>]", or {"nodes"} when
--       `nodes` holds a front-end that was not given, or {"epoch"} when there is none to tell in.
local head, nodes, deadlines, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local mend, ttl, grace, hold = ARGV[1] == 'mend', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local session, count = ARGV[5], tonumber(ARGV[6])
local prefix = string.sub(head, 1, #head - 4)
local channels = string.sub(events, 1, #events - 6)
local call = redis.call

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(n) return string.format('%.0f', n) end
local h = call('HMGET', head, 'epoch', 'revision', 'hold_until')
local epoch, revision = h[1], tonumber(h[2] or 0)
local holding = now < tonumber(h[3] or 0)
if not epoch and mend then return {'epoch'} end

-- The front-ends: index is the key of what each lists, lease the end of its lease (0: none).
local index, lease = {}, {}
for i = 1, count do index[ARGV[6 + i]], lease[ARGV[6 + i]] = KEYS[4 + i], 0 end
local leases = call('ZRANGE', nodes, 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
    if not index[leases[i]] then return {'nodes'} end
    lease[leases[i]] = tonumber(leases[i + 1])
end
local function is_alive(node) return holding or (lease[node] or 0) >= now end

local found, told = {}, {}
local function finder(number)
    return function(rule, node) found[#found + 1] = number .. ' ' .. rule .. (node and ' ' .. node or '') end
end
-- Each name, its key, and what takes down what is wrong with it.
local function each_name(judge)
    for i = 7 + count, #ARGV do
        local number = i - 6 - count
        judge(ARGV[i], KEYS[4 + count + number], finder(number))
    end
end

