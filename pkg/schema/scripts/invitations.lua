-- invitations: counts the pending invitations of a partition, in total, by their senders and by the
-- senders' addresses. A part of invite and uninvite.
--
-- Takes: call, now, integer (prelude.lua); the first three keys: invites:<user>, invitations, inviters.
-- Gives: list, invitations, inviters, count_of, note_invitation, forget_invitation, forget_expired.
--
-- invitations (ZSET, each with the score 0) has a member for each pending invitation:
-- "<mark> <userlen> <user> <senderlen> <sender> <address>", so the first to expire comes first.
-- inviters (HASH) has the number of them: "all", "u:<sender>", "a:<address>". What a release that does
-- not know these keys delivers remains counted until it expires.
local list, invitations, inviters = KEYS[1], KEYS[2], KEYS[3]

local function count_of(owner) return tonumber(call('HGET', inviters, owner) or 0) end
local function add_to_count(owner, by)
    local n = count_of(owner) + by
    if n > 0 then call('HSET', inviters, owner, integer(n)) else call('HDEL', inviters, owner) end
end
local function count_invitation(sender, address, by)
    add_to_count('all', by)
    add_to_count('u:' .. sender, by)
    if address ~= '' then add_to_count('a:' .. address, by) end
end

local function about(mark, user) return mark .. ' ' .. #user .. ' ' .. user .. ' ' end
local function note_invitation(mark, user, sender, address)
    local member = about(mark, user) .. #sender .. ' ' .. sender .. ' ' .. address
    if call('ZADD', invitations, 0, member) == 1 then count_invitation(sender, address, 1) end
end

-- The text that begins at that place with its length, and the place behind it.
local function counted_text(member, at)
    local length, from = string.match(member, '^(%d+) ()', at)
    return string.sub(member, from, from + length - 1), from + length + 1
end
local function forget_member(member)
    if call('ZREM', invitations, member) == 0 then return end
    local _, at = counted_text(member, 18) -- behind the mark
    local sender, rest = counted_text(member, at)
    count_invitation(sender, string.sub(member, rest), -1)
end
local function forget_invitation(mark, user)
    local from = about(mark, user)
    local member = call('ZRANGE', invitations, '[' .. from, '(' .. from .. ':', 'BYLEX', 'LIMIT', 0, 1)[1]
    if member then forget_member(member) end
end
-- At most that many.
local function forget_expired(most)
    local last = '(' .. string.format('%013.0f', now + 1)
    for _, member in ipairs(call('ZRANGE', invitations, '-', last, 'BYLEX', 'LIMIT', 0, most)) do
        forget_member(member)
    end
end
