-- apply_write: judges all operations in their order, then writes and publishes them. The last part of
-- apply (apply.lua).
--
-- Each function `write.<action>(op, i)` writes the operation number i.
--
-- Takes: from all other parts.
while at <= #ARGV do
    local op = {key = KEYS[key], id = string.sub(KEYS[key], id_at), session = '', version = '',
                state = false, action = false, new_version = false, index = mine}
    local kind = next_arg()
    key = key + 1
    read[kind](op)
    total = total + 1
    ops[total] = op
    if op.room then
        local r = load_room(op)
        results[total] = r.has_wrong_type and 'type' or judge_room[op.room](op, r)
    elseif kind == 'offline' then
        results[total] = judge.offline(op)
    else
        local k = load_entry(op.key)
        results[total] = k.err and 'type' or judge[kind](op, k)
    end
end

local function append_full_event(name, op) append_event(name, op.id, op.new_version, public_body(op)) end

-- Lua passes a few thousand arguments at most.
local CHUNK = 2000
local function each_chunk(first, last, apply_to)
    for from = first, last, CHUNK do apply_to(unpack(ARGV, from, math.min(last, from + CHUNK - 1))) end
end
local function store_chunks(op, first)
    each_chunk(first, op.last, function(...) call('HSET', op.key, ...) end)
end
-- All fields of the operation, with those that the map maintains.
local function store_entry(op, ...)
    call('HSET', op.key, 'version', op.new_version, 'node', node, 'session', op.session, ...)
    store_chunks(op, op.fields + CHUNK)
end
local function first_fields(op) return unpack(ARGV, op.fields, math.min(op.last, op.fields + CHUNK - 1)) end

-- Adds the entry to this front-end's index, and to its user's devices. Returns 1 when the index did not
-- have it.
local function add_to_index(op)
    local user = not op.state and call('HGET', op.key, 'user') or ''
    local added = call('HSET', mine, op.id, user)
    if user ~= '' then
        sync_device(op.id, user)
    elseif op.action == 'open' then
        note_entry(op.id, true)
    end
    return added
end
-- Removes the entry from its owner's index. Returns its user, and 1 when the index had it.
local function remove_from_index(op, left)
    local user = call('HGET', op.index, op.id)
    local removed = call('HDEL', op.index, op.id)
    if user and user ~= '' then sync_device(op.id, user, left) end
    return user, removed
end
local function drop_deadline(op) return call('ZREM', deadlines, 'c:' .. op.id) end
-- Moves the entry to this front-end's index from wherever else it was counted.
local function move_into_index(op)
    local removed = drop_deadline(op)
    if op.was_registered then removed = removed + call('ZREM', registered, op.id) end
    entries = entries + add_to_index(op) - removed
end

local write = {}
function write.open(op)
    call('DEL', op.key)
    if op.had_deadline then call('ZREM', deadlines, 'c:' .. op.id) end
    if op.was_registered then call('ZREM', registered, op.id) end
    store_entry(op, 'since', integer(now), first_fields(op))
    call('PEXPIRE', op.key, ttl)
    local before = op.was_listed and call('HGET', mine, op.id)
    add_to_index(op)
    if before and before ~= '' then sync_device(op.id, before) end
    append_full_event('open', op)
end
-- Deletes the fields that the owner does not have.
local function delete_other_fields(op)
    local ours = {}
    for i = op.fields, op.last, 2 do ours[ARGV[i]] = true end
    for _, field in ipairs(call('HKEYS', op.key)) do
        if not ours[field] and not MAP_FIELDS[field] then call('HDEL', op.key, field) end
    end
end
function write.adopt(op)
    if op.was_registered then call('HDEL', op.key, 'registered', 'probe') end
    if op.keeps_fields then
        call('HSET', op.key, 'node', node, 'session', op.session)
    else
        if op.has_fields_only then
            delete_other_fields(op)
        elseif not op.certificate then
            call('HDEL', op.key, 'certificate')
        end
        store_entry(op, first_fields(op))
    end
    if op.resets_since then call('HSET', op.key, 'since', integer(now)) end
    call('PEXPIRE', op.key, ttl)
    move_into_index(op)
    append_full_event('adopt', op)
end
function write.update(op)
    call('HSET', op.key, 'version', op.new_version, 'state', op.state)
    -- With all fields it is a restore, after which the front-end counts the TTL from now.
    if op.fields then call('PEXPIRE', op.key, ttl) end
    append_event('update', op.id, op.new_version, encode_field('state', op.state))
end
function write.set(op)
    local body, has_status = {}, false
    for i = op.fields, op.last, 2 do
        body[#body + 1] = encode_field(ARGV[i], ARGV[i + 1])
        has_status = has_status or ARGV[i] == 'status'
    end
    for i = op.first_deleted, op.last_deleted do body[#body + 1] = text[#ARGV[i]] .. ' -\n' .. ARGV[i] end
    call('HSET', op.key, 'version', op.new_version)
    store_chunks(op, op.fields)
    each_chunk(op.first_deleted, op.last_deleted, function(...) call('HDEL', op.key, ...) end)
    local user = has_status and call('HGET', op.key, 'user')
    if user then sync_device(op.id, user) end
    append_event('update', op.id, op.new_version, table.concat(body))
end
-- A client that resumes an entry receives its own fields only.
local SYSTEM_FIELDS = {session = true, version = true, node = true, since = true, protocol = true,
                  address = true}
local resumed_bodies = {}
function write.resumed(op, i)
    local body = encode_hash(call('HGETALL', op.key), SYSTEM_FIELDS)
    results[i] = results[i] .. ' ' .. text[#body]
    resumed_bodies[#resumed_bodies + 1] = body
end
function write.resume(op, i)
    store_entry(op, first_fields(op))
    call('PEXPIRE', op.key, ttl)
    move_into_index(op)
    append_full_event('adopt', op)
    write.resumed(op, i)
end
function write.index(op)
    move_into_index(op)
    call('PEXPIRE', op.key, ttl)
end
-- The judge has subtracted one from the count; here it is corrected.
function write.close(op, i)
    record_end(op, i)
    local user, removed = op.listed_by == '' and call('HGET', op.key, 'user'), 0
    call('DEL', op.key)
    if op.listed_by ~= '' then user, removed = remove_from_index(op) end
    entries = entries + 1 - removed - drop_deadline(op)
    if not user or user == '' then note_entry(op.id, false) end
    append_event('close', op.id, '', encode_field('reason', op.reason or 'closed'))
end
function write.orphan(op)
    call('HSET', op.key, 'node', '')
    call('PEXPIRE', op.key, ttl)
    local _, removed = remove_from_index(op, op.at - grace)
    entries = entries - removed + call('ZADD', deadlines, integer(op.at), 'c:' .. op.id)
    append_event('orphan', op.id, '', '')
end
function write.await_reopen(op)
    local _, removed = remove_from_index(op, op.at - grace)
    entries = entries - removed + call('ZADD', deadlines, integer(op.at), 'c:' .. op.id)
end
function write.unlist(op)
    local _, removed = remove_from_index(op)
    entries = entries - removed
end
function write.drop_deadline(op) entries = entries - drop_deadline(op) end
function write.offline(op) touch_user(op.user).is_offline_due = true end
function write.forget_node(op)
    if call('HLEN', op.index) == 0 and call('HLEN', prefix .. 'members:' .. op.session) == 0 then
        call('ZREM', nodes, op.session)
        call('HDEL', head, 'link:' .. op.session, 'formats:' .. op.session)
    end
end

-- The batch number first: from here on the batch has been applied.
call('HSET', head, 'link:' .. node, link .. ' ' .. ARGV[5])
for i = 1, total do
    local op = ops[i]
    if op.action then write[op.action](op, i) end
    if op.write then op.write(op, i) end
end
publish_users()
write_rooms()
local changed = {}
local function set_head(field, value)
    changed[#changed + 1], changed[#changed + 2] = field, integer(value)
end
if entries ~= tonumber(h[5] or 0) then set_head('entries', entries) end
if seq then set_head('seq', seq) end
if born then set_head('rooms', born) end
if #event_list > 0 then set_head('revision', revision + #event_list) end
if changed[1] then call('HSET', head, unpack(changed)) end
if #event_list > 0 then
    call('PUBLISH', events, event_message(agreed, epoch, integer(revision + 1)))
end
return 'ok ' .. integer(revision + #event_list) .. ' ' .. integer(now) .. '\n' ..
       table.concat(results, '\n') .. (resumed_bodies[1] and '\n' .. table.concat(resumed_bodies) or '')
