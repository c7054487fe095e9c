-- presence: the status of users and entries, and its place in the order of published statuses.
--
-- It is joined from prelude.lua and this file.
--
-- KEYS  1 head  then user:<name> of each name, then client:<name> of each
-- Returns "1 <epoch> <seq> <1 during the recovery grace, else 0>\n" and a digit for each name:
--         0 offline, 1 online, 2 busy; "" when there is no epoch.
local pcall = redis.pcall
local h = call('HMGET', KEYS[1], 'epoch', 'seq', 'hold_until')
if not h[1] then return '' end
local count = (#KEYS - 1) / 2
local digits = {online = '1', busy = '2'}
local out = {}
for i = 1, count do
    local status = digits[pcall('HGET', KEYS[1 + i], '.status')]
    if not status then
        -- An entry that is not a user's device is present by itself.
        local k = pcall('HMGET', KEYS[1 + count + i], 'node', 'user')
        status = k[1] and not k[2] and '1' or '0'
    end
    out[i] = status
end
return '1 ' .. h[1] .. ' ' .. (h[2] or '0') .. ' ' .. (now < tonumber(h[3] or 0) and '1' or '0') ..
       '\n' .. table.concat(out)
