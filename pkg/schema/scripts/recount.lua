-- recount: counts the entries of a partition in its indexes, and compares the count with the number
-- in `head`, which it corrects on request.
--
-- It is joined from prelude.lua and this file.
--
-- KEYS  1 head  2 nodes  3 deadlines  4.. node:<node> of each front-end; `registered`, of the same
--       partition, is derived from head's name
-- ARGV  1 "check" or "repair"  then the ids of the front-ends
-- Returns {"ok", counted, stored, epoch, P, now, last sweep, end of the recovery grace, number of
--       valid leases}, stored and what follows as in `head`, "" where there is none; or {"nodes"}
--       when `nodes` has a front-end that was not given.
local given, counted = {}, 0
for i = 2, #ARGV do given[ARGV[i]] = true end
for _, node in ipairs(call('ZRANGE', KEYS[2], 0, -1)) do
    if not given[node] then return {'nodes'} end
end
for i = 4, #KEYS do
    local length = redis.pcall('HLEN', KEYS[i])
    if type(length) == 'number' then counted = counted + length end
end
for _, member in ipairs(call('ZRANGE', KEYS[3], 0, -1)) do
    if string.sub(member, 1, 2) == 'c:' then counted = counted + 1 end
end
counted = counted + call('ZCARD', string.sub(KEYS[1], 1, #KEYS[1] - #'head') .. 'registered')

local h = call('HMGET', KEYS[1], 'entries', 'epoch', 'P', 'last', 'hold_until')
if ARGV[1] == 'repair' and h[2] and h[1] ~= integer(counted) then
    call('HSET', KEYS[1], 'entries', integer(counted))
end
return {'ok', integer(counted), h[1] or '', h[2] or '', h[3] or '', integer(now), h[4] or '',
        h[5] or '', integer(call('ZCOUNT', KEYS[2], integer(now), '+inf'))}
