-- repair_entries: checks entries. A part of a repair script (repair.lua).
--
-- An entry is never simply deleted while it has a hash: without an owner it becomes an orphan with a
-- deadline, so that its client may return, and that is published.
--
-- Takes: from repair.lua, users.lua and events.lua.  Gives: nothing.
local registered = prefix .. 'registered'

-- The whole entry, which replaces what front-ends know of it.
local function append_entry(e)
    local body, version = encode_hash(call('HGETALL', e.key), PRIVATE)
    append_event('adopt', e.id, version, body)
end

-- Updates the hash of each user whose device the entry is, or was listed as.
local function sync_devices(e)
    if e.user then sync_device(e.id, e.user) end
    for _, user in pairs(e.listed) do
        if user ~= '' and user ~= e.user then sync_device(e.id, user) end
    end
end

-- An id without an entry: nothing may refer to it.
local function check_missing(e, report)
    local any, had_user = false, false
    for node, user in pairs(e.listed) do
        if not in_recovery or lease[node] >= now then
            any, had_user = true, had_user or user ~= ''
            report('missing', node)
            if repairs then call('HDEL', index[node], e.id) end
        end
    end
    if (e.deadline or e.probe_at) and not in_recovery then
        any = true
        report('no-entry')
        if repairs then
            call('ZREM', deadlines, 'c:' .. e.id)
            call('ZREM', registered, e.id)
        end
    end
    if repairs and (any or e.removed) then
        append_event('close', e.id, '', encode_field('reason', 'repaired'))
        sync_devices(e)
        if not had_user then note_entry(e.id, false) end
    end
end

-- Removes the owner: the entry is then listed nowhere, and has a deadline.
local function make_orphan(e, at)
    for node in pairs(e.listed) do call('HDEL', index[node], e.id) end
    call('ZREM', registered, e.id)
    call('HDEL', e.key, 'registered', 'probe')
    call('HSET', e.key, 'node', '')
    call('PEXPIRE', e.key, ttl)
    call('ZADD', deadlines, integer(at), 'c:' .. e.id)
    sync_devices(e)
end

-- Checks the index and the user's hash of an entry with a connection.
local function check_entry_user(e, report)
    local user = e.user or ''
    if e.listed[e.node] and e.listed[e.node] ~= user then
        report('user', e.node)
        if repairs then
            call('HSET', index[e.node], e.id, user)
            sync_devices(e)
        end
    end
    if e.user and redis.pcall('HEXISTS', prefix .. 'user:' .. user, e.id) ~= 1 then
        report('no-device')
        if repairs then sync_devices(e) end
    end
end

local function check_entry(e, report)
    if e.ttl < 0 then
        report('ttl')
        if repairs then call('PEXPIRE', e.key, ttl) end
    end
    local is_malformed = false
    if not (e.session and #e.session == 32 and not string.find(e.session, '[^0-9a-f]')) then
        is_malformed = true
        report('session')
        if repairs then call('HSET', e.key, 'session', session) end
    end
    if not (e.version and (e.version == '0' or string.find(e.version, '^[1-9]%d*$')) and
        (#e.version < 19 or #e.version == 19 and e.version <= '9223372036854775807')) then
        is_malformed = true
        report('version')
        if repairs then call('HSET', e.key, 'version', '0') end
    end
    if not e.node then
        is_malformed = true
        report('node')
    end

    for node in pairs(e.listed) do
        if node ~= e.node then
            report('listed', node)
            if repairs then call('HDEL', index[node], e.id) end
        end
    end
    if e.probe_at and not (e.registered and e.node == '') then
        report('undue')
        if repairs then call('ZREM', registered, e.id) end
    end
    if e.node == '' and e.registered then
        if e.deadline then
            report('undue')
            if repairs then call('ZREM', deadlines, 'c:' .. e.id) end
        end
        if not e.probe_at then report('no-deadline') end
        if repairs and not e.probe_at and not is_malformed then
            call('ZADD', registered, integer(now), e.id)
        end
    elseif e.node == '' then
        if not e.deadline then report('no-deadline') end
        if repairs and not e.deadline and not is_malformed then
            make_orphan(e, now + grace)
            append_event('orphan', e.id, '', '')
        end
    elseif e.node then
        if e.deadline then
            report('undue')
            if repairs then call('ZREM', deadlines, 'c:' .. e.id) end
        end
        if not has_lease(e.node) then
            local ends = lease[e.node] or 0
            report('abandoned', e.node)
            if repairs and not is_malformed then
                make_orphan(e, (ends > 0 and ends or now) + grace)
                append_event('orphan', e.id, '', '')
            end
        elseif not e.listed[e.node] and index[e.node] then
            report('unlisted', e.node)
            if repairs and not is_malformed then
                call('HSET', index[e.node], e.id, e.user or '')
            end
        end
        if has_lease(e.node) and not is_malformed then check_entry_user(e, report) end
    end
    if repairs and is_malformed then
        make_orphan(e, now + grace)
        append_entry(e)
    end
end

each_name(function(id, key, report)
    local e = {id = id, key = key, listed = {}}
    for node, of in pairs(index) do
        local user = redis.pcall('HGET', of, e.id)
        if type(user) == 'string' then e.listed[node] = user end
    end
    e.deadline = call('ZSCORE', deadlines, 'c:' .. e.id)
    e.probe_at = call('ZSCORE', registered, e.id)
    e.ttl = call('PTTL', e.key)
    local v = e.ttl ~= -2 and
              redis.pcall('HMGET', e.key, 'session', 'version', 'node', 'user', 'registered') or {}
    if v.err then
        report('type')
        if repairs then
            call('DEL', e.key)
            e.removed = true
        end
    end
    e.session, e.version, e.node, e.user, e.registered = v[1], v[2], v[3], v[4], v[5]
    if e.ttl == -2 or e.removed then
        check_missing(e, report)
    elseif not v.err then
        check_entry(e, report)
    end
end)
