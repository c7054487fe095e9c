-- presence: how the named users and entries are, and the place of that in the order of what is told.
--
-- KEYS  1 head  then user:<name> of each, then client:<name> of each
-- Returns "1 <epoch> <seq> <1 while nothing is reaped (the hold), else 0>\n" and a digit for each:
--         0 offline, 1 online, 2 busy; "" when there is no epoch.
local call, pcall = redis.call, redis.pcall
local h = call('HMGET', KEYS[1], 'epoch', 'seq', 'hold_until')
if not h[1] then return '' end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = (#KEYS - 1) / 2
local said = {online = '1', busy = '2'}
local out = {}
for i = 1, count do
    local status = said[pcall('HGET', KEYS[1 + i], '.status')]
    if not status then
        -- An entry that is no device of a user is present by itself.
        local k = pcall('HMGET', KEYS[1 + count + i], 'node', 'user')
        status = k[1] and not k[2] and '1' or '0'
    end
    out[i] = status
end
return '1 ' .. h[1] .. ' ' .. (h[2] or '0') .. ' ' .. (now < tonumber(h[3] or 0) and '1' or '0') ..
       '\n' .. table.concat(out)
