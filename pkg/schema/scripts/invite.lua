-- invite: stores an invitation for a user, and lists the devices that can be notified at once.
--
-- It is joined from prelude.lua and this file.
--
-- KEYS  1 invites:<user>  2 user:<user>
-- ARGV  1 the invitation  2 maximum for a user  3 ms for which it is stored
-- Returns the invitation as stored, and the entries' ids.
--
-- It is stored as `<expiry, ms, 13 digits>.<2 hex digits> <invitation>`. Releases up to 0.1.0 store 16
-- hex digits without a time, and read these 16 characters as such; theirs expire with the whole list.
-- An expired invitation behind one that expires later remains until then; readers skip it.
local list = KEYS[1]
local expiry = string.format('%013.0f', now + ARGV[3])

local function has_expired(stored)
    local at = stored and string.match(stored, '^(%d+)%.%x%x ')
    return at and #at == 13 and tonumber(at) <= now
end

while has_expired(call('LRANGE', list, 0, 0)[1]) do call('LTRIM', list, 1, -1) end

-- Equal invitations of one millisecond remain distinct.
local number = 0
local last = call('LRANGE', list, -1, -1)[1]
if last and string.sub(last, 1, 14) == expiry .. '.' then
    number = ((tonumber(string.sub(last, 15, 16), 16) or 0) + 1) % 256
end

local invitation = expiry .. string.format('.%02x ', number) .. ARGV[1]
call('RPUSH', list, invitation)
call('LTRIM', list, -ARGV[2], -1)
-- The list expires with the invitation that expires last.
call('PEXPIRE', list, ARGV[3], 'NX')
call('PEXPIRE', list, ARGV[3], 'GT')

local devices = {}
for _, field in ipairs(call('HKEYS', KEYS[2])) do
    if string.sub(field, 1, 1) ~= '.' then devices[#devices + 1] = field end
end
return {invitation, devices}
