-- recount: the entries of a partition as its indexes have them, beside the number that `head`
-- holds, which is put right when asked.
--
-- KEYS  1 head  2 nodes  3 deadlines  4.. node:<node> of each front-end; `registered`, of the same
--       partition, is made from head's name
-- ARGV  1 "look" or "mend"  then the ids of the front-ends
-- Returns {"ok", counted, stored, epoch, P, now, last sweep, hold until, leases that hold}, stored
--       and what follows as in `head`, "" where there is none; or {"nodes"} when `nodes` holds a
--       front-end that was not given.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(n) return string.format('%.0f', n) end

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
if ARGV[1] == 'mend' and h[2] and h[1] ~= integer(counted) then
    call('HSET', KEYS[1], 'entries', integer(counted))
end
return {'ok', integer(counted), h[1] or '', h[2] or '', h[3] or '', integer(now), h[4] or '',
        h[5] or '', integer(call('ZCOUNT', KEYS[2], integer(now), '+inf'))}
