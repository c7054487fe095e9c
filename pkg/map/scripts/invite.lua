-- invite: keeps an invitation for a user, and lists the devices that can be told at once.
--
-- KEYS  1 invites:<user>  2 user:<user>
-- ARGV  1 the invitation  2 most for a user  3 ms until they are forgotten
-- Returns the entries' ids.
local call = redis.call
call('RPUSH', KEYS[1], ARGV[1])
call('LTRIM', KEYS[1], -ARGV[2], -1)
call('PEXPIRE', KEYS[1], ARGV[3])
local devices = {}
for _, field in ipairs(call('HKEYS', KEYS[2])) do
    if string.sub(field, 1, 1) ~= '.' then devices[#devices + 1] = field end
end
return devices
