-- repair_rooms: checks rooms, and the index of their members. A part of a repair script (repair.lua).
--
-- Takes: from repair.lua.  Gives: nothing.
local open_rooms = prefix .. 'open_rooms'
local function members_key(node) return prefix .. 'members:' .. node end
local function listed_birth(name)
    local born = redis.pcall('HGET', open_rooms, name)
    return type(born) == 'string' and born or nil
end
local function list_birth(name, born)
    if type(redis.pcall('HSET', open_rooms, name, born)) == 'number' then return end
    call('DEL', open_rooms) -- is not a hash
    call('HSET', open_rooms, name, born)
end

-- A room from its hash: members by id, the counts of users, and the other fields.
local function parse_room(name, all)
    local r = {name = name, members = {}, users = {}, of = {}, count = 0, devices = {}}
    for i = 1, #all, 2 do
        local kind, field, value = string.sub(all[i], 1, 2), string.sub(all[i], 3), all[i + 1]
        if kind == 'm:' then
            local node, number, user = string.match(value, '^(%S+) (%d+) (.+)$')
            r.members[field] = {node = node, number = number, user = user}
        elseif kind == 'u:' then
            r.users[field] = value
        else
            r.of[all[i]] = value
        end
    end
    return r
end
local function count_members(r)
    for _, m in pairs(r.members) do
        if m.user then
            r.count = r.count + 1
            r.devices[m.user] = (r.devices[m.user] or 0) + 1
        end
    end
end
local function is_positive_number(s) return s and string.find(s, '^[1-9]%d*$') end

local function has_right_counts(r)
    if r.count == 0 or r.of['.members'] ~= integer(r.count) or not is_positive_number(r.of['.born']) or
        not is_positive_number(r.of['.seq']) then
        return false
    end
    for user, n in pairs(r.devices) do
        if r.users[user] ~= integer(n) then return false end
    end
    for user in pairs(r.users) do
        if not r.devices[user] then return false end
    end
    return true
end

-- Writes the counts again. The skipped number makes every front-end read the room again.
local function rewrite_room(r, key)
    if r.count == 0 then
        call('DEL', key)
        redis.pcall('HDEL', open_rooms, r.name)
        return
    end
    for user in pairs(r.users) do
        if not r.devices[user] then call('HDEL', key, 'u:' .. user) end
    end
    for user, n in pairs(r.devices) do call('HSET', key, 'u:' .. user, integer(n)) end
    call('HSET', key, '.members', integer(r.count), '.born', r.born, '.seq', integer(r.seq + 1))
    list_birth(r.name, r.born)
end

local function remove_room_member(r, key, id, m)
    call('HDEL', key, 'm:' .. id)
    r.members[id] = nil
    if not m.user then return end
    call('HDEL', members_key(m.node), id .. ' ' .. r.name)
    r.count, r.devices[m.user] = r.count - 1, r.devices[m.user] - 1
    r.seq = r.seq + 1
    call('PUBLISH', channels .. 'room:' .. r.name, agreed .. ' ' .. epoch .. ' ' .. r.born .. ' ' ..
         integer(r.seq) .. ' leave ' .. id .. ' ' .. integer(r.devices[m.user]) .. ' ' .. m.user)
    if r.devices[m.user] == 0 then r.devices[m.user] = nil end
end

local function check_members(r, report)
    local removed = {}
    for id, m in pairs(r.members) do
        if not m.user then
            report('member')
            removed[id] = m
        elseif not has_lease(m.node) then
            report('member-abandoned', m.node)
            removed[id] = m
        elseif redis.pcall('HEXISTS', members_key(m.node), id .. ' ' .. r.name) ~= 1 then
            report('member-unlisted', m.node)
            if repairs then call('HSET', members_key(m.node), id .. ' ' .. r.name, m.user) end
        end
    end
    return removed
end

-- A name in open_rooms takes a place of room.max_rooms.
local function forget_closed_room(name, report)
    if not listed_birth(name) then return end
    report('room-open')
    if repairs then redis.pcall('HDEL', open_rooms, name) end
end

local function check_room(name, key, report)
    local all = redis.pcall('HGETALL', key)
    if all.err then
        report('room-type')
        if repairs then
            call('DEL', key)
            redis.pcall('HDEL', open_rooms, name)
        end
        return
    end
    if #all == 0 then
        forget_closed_room(name, report)
        return
    end
    local r = parse_room(name, all)
    count_members(r)
    local removed, had_right_counts = check_members(r, report), has_right_counts(r)
    if not had_right_counts then report('room-count') end
    if had_right_counts and listed_birth(name) ~= r.of['.born'] then
        report('room-open')
        if repairs then list_birth(name, r.of['.born']) end
    end
    if not repairs or (had_right_counts and not next(removed)) then return end
    r.seq = tonumber(is_positive_number(r.of['.seq']) and r.of['.seq'] or 0)
    r.born = is_positive_number(r.of['.born']) and r.of['.born'] or
             integer(call('HINCRBY', head, 'rooms', 1))
    for id, m in pairs(removed) do remove_room_member(r, key, id, m) end
    rewrite_room(r, key)
end

-- A member that a front-end lists must be in the room, as that front-end's.
local function check_member_listing(node, id, room, key, report)
    local listing = id .. ' ' .. room
    if redis.pcall('HEXISTS', members_key(node), listing) ~= 1 then return end
    local m = redis.pcall('HGET', key, 'm:' .. id)
    if type(m) == 'string' and string.sub(m, 1, #node + 1) == node .. ' ' then return end
    report('member-missing', node)
    if repairs then call('HDEL', members_key(node), listing) end
end

each_name(function(name, key, report)
    local node, id, room = string.match(name, '^%+(%S+) (%S+) (.+)$')
    if node then
        check_member_listing(node, id, room, key, report)
    else
        check_room(string.sub(name, 2), key, report)
    end
end)
