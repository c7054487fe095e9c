-- invite: stores an invitation for a user, and lists the front-ends of the user's devices, which can be
-- notified at once.
--
-- It is joined from prelude.lua, invitations.lua and this file.
--
-- KEYS  1 invites:<user>  2 invitations  3 inviters  4 user:<user>
-- ARGV  1 the invitation  2 maximum for a user  3 ms for which it is stored  4 the user  5 the sender
--       6 the sender's address, or ""  7 maximum of a sender  8 of an address  9 in the partition
-- Returns {the invitation as stored, {the front-ends, each once}}; or, when nothing was stored, which maximum is
--       reached: "sender", "address" or "all".
--
-- It is stored as `<expiry, ms, 13 digits>.<2 hex digits> <invitation>`. Releases up to 0.1.0 store 16
-- hex digits without a time, and read these 16 characters as such; theirs expire with the whole list.
-- An expired invitation behind one that expires later remains until then; readers skip it.
local user, sender, address = ARGV[4], ARGV[5], ARGV[6]

local function has_expired(stored)
    local at = stored and string.match(stored, '^(%d+)%.%x%x ')
    return at and #at == 13 and tonumber(at) <= now
end
local function reached_maximum()
    if count_of('u:' .. sender) >= tonumber(ARGV[7]) then return 'sender' end
    if address ~= '' and count_of('a:' .. address) >= tonumber(ARGV[8]) then return 'address' end
    return count_of('all') >= tonumber(ARGV[9]) and 'all'
end

-- Each call adds one, so this keeps up with what expires.
forget_expired(200)
local reached = reached_maximum()
if reached then return reached end

local function drop_oldest(n)
    for _, stored in ipairs(n > 0 and call('LRANGE', list, 0, n - 1) or {}) do
        forget_invitation(string.sub(stored, 1, 16), user)
    end
    call('LTRIM', list, n, -1)
end
while has_expired(call('LRANGE', list, 0, 0)[1]) do drop_oldest(1) end

-- Equal invitations of one millisecond remain distinct.
local expiry, number = string.format('%013.0f', now + ARGV[3]), 0
local last = call('LRANGE', list, -1, -1)[1]
if last and string.sub(last, 1, 14) == expiry .. '.' then
    number = ((tonumber(string.sub(last, 15, 16), 16) or 0) + 1) % 256
end

local mark = expiry .. string.format('.%02x', number)
local invitation = mark .. ' ' .. ARGV[1]
drop_oldest(math.max(0, call('RPUSH', list, invitation) - ARGV[2]))
note_invitation(mark, user, sender, address)
-- Each key expires with the invitation that expires last.
for _, key in ipairs({list, invitations, inviters}) do
    call('PEXPIRE', key, ARGV[3], 'NX')
    call('PEXPIRE', key, ARGV[3], 'GT')
end

-- A user has at most presence.max_devices.
local prefix = string.sub(KEYS[4], 1, -1 - #'user:' - #user)
local front_ends, listed = {}, {}
for _, field in ipairs(call('HKEYS', KEYS[4])) do
    local node = string.sub(field, 1, 1) ~= '.' and call('HGET', prefix .. 'client:' .. field, 'node')
    if node and node ~= '' and not listed[node] then
        listed[node] = true
        front_ends[#front_ends + 1] = node
    end
end
return {invitation, front_ends}
