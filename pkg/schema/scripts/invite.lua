-- invite: keeps an invitation for a user, and lists the devices that can be notified at once.
--
-- KEYS  1 invites:<user>  2 user:<user>
-- ARGV  1 the invitation  2 most for a user  3 ms for which it waits
-- Returns the invitation as it is kept, and the entries' ids.
--
-- Kept as `<its end, ms, 13 digits>.<2 hex digits> <invitation>`; releases up to 0.1.0 keep 16 hex
-- digits without a time, and take these 16 characters for such. Those end with the whole list. What
-- has ended and stands behind a longer one stays until that ends; whoever reads passes it over.
local call = redis.call
local list = KEYS[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = string.format('%013.0f', now + ARGV[3])

local function has_ended(kept)
    local at = kept and string.match(kept, '^(%d+)%.%x%x ')
    return at and #at == 13 and tonumber(at) <= now
end

while has_ended(call('LRANGE', list, 0, 0)[1]) do call('LTRIM', list, 1, -1) end

-- Equal ones of one millisecond stay distinct.
local number = 0
local last = call('LRANGE', list, -1, -1)[1]
if last and string.sub(last, 1, 14) == ends .. '.' then
    number = ((tonumber(string.sub(last, 15, 16), 16) or 0) + 1) % 256
end

local kept = ends .. string.format('.%02x ', number) .. ARGV[1]
call('RPUSH', list, kept)
call('LTRIM', list, -ARGV[2], -1)
-- The list lasts as long as the last of them, whichever that is.
call('PEXPIRE', list, ARGV[3], 'NX')
call('PEXPIRE', list, ARGV[3], 'GT')

local devices = {}
for _, field in ipairs(call('HKEYS', KEYS[2])) do
    if string.sub(field, 1, 1) ~= '.' then devices[#devices + 1] = field end
end
return {kept, devices}
