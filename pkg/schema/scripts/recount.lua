-- recount: counts the entries of a partition in its indexes, and compares the count with the number
-- in `head`, which it corrects on request. The same with the pending invitations, and the numbers of
-- them in `inviters`.
--
-- It is joined from prelude.lua, formats.lua and this file.
--
-- KEYS  1 head  2 nodes  3 deadlines  4.. node:<node> of each front-end; `registered`, `invitations`
--       and `inviters`, of the same partition, are derived from head's name
-- ARGV  1 "check" or "repair"  then the ids of the front-ends
-- Returns {"ok", counted, stored, epoch, P, now, last sweep, end of the recovery grace, number of
--       valid leases, "1" when the numbers of invitations are wrong or "0"}, stored and what follows as in `head`, "" where there is none; or {"nodes"}
--       when `nodes` has a front-end that was not given.
local prefix = string.sub(KEYS[1], 1, #KEYS[1] - #'head')
local repairs = ARGV[1] == 'repair'
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
counted = counted + call('ZCARD', prefix .. 'registered')

local h = call('HMGET', KEYS[1], 'entries', 'epoch', 'P', 'last', 'hold_until')
if repairs and h[2] and h[1] ~= integer(counted) then
    call('HSET', KEYS[1], 'entries', integer(counted))
end

-- The sender and the address of a member of `invitations`; nil if it is malformed.
local function inviter_of(member)
    local length, at = string.match(member, '^%d+%.%x%x (%d+) ()')
    local sender_length, from
    if length and #member >= at + length then
        sender_length, from = string.match(member, '^ (%d+) ()', at + length)
    end
    if not from or string.sub(member, from + sender_length, from + sender_length) ~= ' ' then return nil end
    return string.sub(member, from, from + sender_length - 1), string.sub(member, from + sender_length + 1)
end
-- The numbers that follow from `invitations`, the malformed members, and the last expiry.
local function count_invitations(members)
    local numbers, malformed, last = {}, {}, nil
    local function add(owner) numbers[owner] = (numbers[owner] or 0) + 1 end
    for _, member in ipairs(members) do
        local sender, address = inviter_of(member)
        if sender then
            add('all')
            add('u:' .. sender)
            if address ~= '' then add('a:' .. address) end
            last = string.match(member, '^%d+')
        else
            malformed[#malformed + 1] = member
        end
    end
    return numbers, malformed, last
end
local function are_stored(numbers, stored)
    for i = 1, #stored, 2 do
        if stored[i + 1] ~= integer(numbers[stored[i]] or 0) then return false end
    end
    local count = 0
    for _ in pairs(numbers) do count = count + 1 end
    return count == #stored / 2
end
-- Counting more of them would stall Redis for too long; then only the total is checked.
local MOST_COUNTED = 5000
local function has_wrong_total(inviters, total)
    if redis.pcall('HGET', inviters, 'all') == total then return false end
    if repairs then redis.pcall('HSET', inviters, 'all', total) end
    return true
end
local function has_wrong_invitations()
    local invitations, inviters = prefix .. 'invitations', prefix .. 'inviters'
    local total = redis.pcall('ZCARD', invitations)
    if type(total) == 'number' and total > MOST_COUNTED then
        return has_wrong_total(inviters, integer(total))
    end
    local members = redis.pcall('ZRANGE', invitations, 0, -1)
    local stored = redis.pcall('HGETALL', inviters)
    local numbers, malformed, last = count_invitations(members.err and {} or members)
    if not members.err and not stored.err and #malformed == 0 and are_stored(numbers, stored) and
        call('PTTL', invitations) ~= -1 and call('PTTL', inviters) ~= -1 then
        return false
    end
    if not repairs then return true end
    call('DEL', inviters)
    if members.err then call('DEL', invitations) end
    for _, member in ipairs(malformed) do call('ZREM', invitations, member) end
    for owner, n in pairs(numbers) do call('HSET', inviters, owner, integer(n)) end
    for _, key in ipairs(last and {invitations, inviters} or {}) do call('PEXPIRE', key, integer(last - now)) end
    return true
end

local wrong = has_wrong_invitations() and '1' or '0'
return {'ok', integer(counted), h[1] or '', h[2] or '', h[3] or '', integer(now),
        h[4] and integer(read_last(h[4])) or '',
        h[5] or '', integer(call('ZCOUNT', KEYS[2], integer(now), '+inf')), wrong}
