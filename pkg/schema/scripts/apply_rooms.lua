-- apply_rooms: judges operations on rooms, and writes them. A part of apply (apply.lua).
--
-- A room is a hash with `.members`; `.born`, which distinguishes rooms that had the name one after the
-- other; `.seq`, the number of its last message; for each member `m:<id>` = "<node> <number of its
-- last message> <user>"; and `u:<user>`, how many of the user's devices are members. `members:<node>`
-- lists "<id> <room>" of the members at a front-end, with their users. `open_rooms` (HASH) has the
-- names of the rooms, to count them; releases that do not know it leave names of closed rooms there.
--
-- Takes: from apply.lua, apply_entries.lua and apply_read.lua.
-- Gives: load_room, judge_room, write_rooms, born.
local rooms, changed_rooms, index_changes, born = {}, {}, {}, false

local function load_room(op)
    local r = rooms[op.key]
    if not r then
        local v = redis.pcall('HMGET', op.key, '.members', '.born', '.seq')
        r = {key = op.key, has_wrong_type = v.err, members = tonumber(v[1] or 0), born = v[2] or '0',
             seq = tonumber(v[3] or 0), known = {}, changed = {}, messages = {}}
        rooms[op.key] = r
    end
    return r
end
-- A field after the operations judged so far; false when there is none.
local function room_field(r, name)
    if r.known[name] == nil then r.known[name] = call('HGET', r.key, name) end
    return r.known[name]
end
local function set_room_field(r, name, value)
    if not r.is_changed then
        r.is_changed = true
        changed_rooms[#changed_rooms + 1] = r
    end
    r.known[name] = value
    r.changed[name] = true
end
local function room_member(r, id)
    local m = room_field(r, 'm:' .. id)
    if not m then return nil end
    return string.match(m, '^(%S+) (%d+) (.*)$')
end
local function list_member(of, op, user)
    index_changes[#index_changes + 1] = {'HSET', prefix .. 'members:' .. of, op.member .. ' ' .. op.id,
                                         user}
end
local function unlist_member(of, op)
    index_changes[#index_changes + 1] = {'HDEL', prefix .. 'members:' .. of, op.member .. ' ' .. op.id}
end
local function append_room_message(r, what)
    r.seq = r.seq + 1
    r.messages[#r.messages + 1] = agreed .. ' ' .. epoch .. ' ' .. r.born .. ' ' .. integer(r.seq) .. ' ' .. what
end
-- Changes the number of the user's devices in the room by one; returns the new number.
local function count_user_devices(r, user, by)
    local name = 'u:' .. user
    local n = tonumber(room_field(r, name) or 0) + by
    set_room_field(r, name, n > 0 and integer(n) or false)
    return integer(n)
end

local open_rooms = prefix .. 'open_rooms'
local room_count, closed_rooms
-- Counts a new room. nil, or the line of the refusal. When the limit is reached, some of the names are
-- checked, so that those of closed rooms do not fill it.
local function reserve_room(op)
    if op.rooms == 'any' then return nil end
    if op.rooms == 'full' then return 'full' end
    room_count = room_count or call('HLEN', open_rooms)
    if room_count >= tonumber(op.rooms) and not closed_rooms then
        closed_rooms = {}
        for _, name in ipairs(call('HRANDFIELD', open_rooms, 20)) do
            if redis.pcall('HEXISTS', prefix .. 'room:' .. name, '.members') == 0 then
                closed_rooms[#closed_rooms + 1] = name
                index_changes[#index_changes + 1] = {'HDEL', open_rooms, name}
                room_count = room_count - 1
            end
        end
    end
    if room_count >= tonumber(op.rooms) then return 'limit' end
    room_count = room_count + 1
    return nil
end

local judge_room = {}

function judge_room.join(op, r)
    local member_node, last_number, user = room_member(r, op.member)
    if member_node then
        if member_node ~= node then -- the numbers of another front-end are not comparable
            unlist_member(member_node, op)
            last_number = op.number
        end
        set_room_field(r, 'm:' .. op.member, node .. ' ' .. last_number .. ' ' .. user)
        list_member(node, op, user)
        return 'ok ' .. integer(r.seq)
    end
    if r.members >= op.max_members then return 'limit' end
    if r.members == 0 then
        local refusal = reserve_room(op)
        if refusal then return refusal end
        r.is_new = true
        born = (born or tonumber(call('HGET', head, 'rooms') or 0)) + 1
        r.born, r.seq = integer(born), 0
    end
    r.members = r.members + 1
    set_room_field(r, 'm:' .. op.member, node .. ' ' .. op.number .. ' ' .. op.user)
    list_member(node, op, op.user)
    append_room_message(r, 'join ' .. op.member .. ' ' .. count_user_devices(r, op.user, 1) .. ' ' ..
                           op.user)
    return 'ok ' .. integer(r.seq)
end

local function remove_member(op, r, user)
    r.members = r.members - 1
    set_room_field(r, 'm:' .. op.member, false)
    append_room_message(r, 'leave ' .. op.member .. ' ' .. count_user_devices(r, user, -1) .. ' ' ..
                           user)
    return 'ok'
end

-- A leave that is repeated must not undo a later join.
function judge_room.leave(op, r)
    local member_node, last_number, user = room_member(r, op.member)
    if member_node == node and not is_newer(op.number, last_number) then return 'missing' end
    unlist_member(node, op)
    if member_node ~= node then return 'missing' end
    return remove_member(op, r, user)
end

-- A member whose front-end's lease has ended.
function judge_room.evict_member(op, r)
    if is_node_alive(op.other) then return 'waits' end
    local member_node, _, user = room_member(r, op.member)
    unlist_member(op.other, op)
    if member_node ~= op.other then return 'missing' end
    return remove_member(op, r, user)
end

-- A message. One that is sent twice is published once.
function judge_room.publish(op, r)
    local member_node, last_number, user = room_member(r, op.member)
    if member_node ~= node then return 'missing' end
    if not is_newer(op.number, last_number) then return 'ok' end
    set_room_field(r, 'm:' .. op.member, node .. ' ' .. op.number .. ' ' .. user)
    append_room_message(r, 'say ' .. op.member .. '\n' .. op.message)
    return 'ok'
end

-- Writes the rooms, and publishes their messages in order.
local function write_room(r)
    r.name = string.sub(r.key, #prefix + 1) -- room:<name>
    local name_only = string.sub(r.name, #'room:' + 1)
    if r.members <= 0 then
        call('DEL', r.key)
        call('HDEL', open_rooms, name_only)
    else
        if r.is_new then call('HSET', open_rooms, name_only, r.born) end
        call('HSET', r.key, '.members', integer(r.members), '.born', r.born, '.seq', integer(r.seq))
        for name in pairs(r.changed) do
            local value = r.known[name]
            if value then call('HSET', r.key, name, value) else call('HDEL', r.key, name) end
        end
    end
    for _, message in ipairs(r.messages) do call('PUBLISH', channels .. r.name, message) end
end
local function write_rooms()
    for _, c in ipairs(index_changes) do call(unpack(c)) end
    for _, r in ipairs(changed_rooms) do write_room(r) end
end
