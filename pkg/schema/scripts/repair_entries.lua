-- repair_entries: a part of repair (repair.lua): entries. One is never simply deleted while it has a
-- hash: what nobody owns any more becomes an orphan with a deadline, so that its client may come
-- back, and is told.
local registered = prefix .. 'registered'

local function tell(name, id, version, body)
    told[#told + 1] = name .. ' ' .. #id .. ' ' .. #version .. ' ' .. #body .. '\n' .. id .. version ..
                          body
end
local function pair(field, value) return #field .. ' ' .. #value .. '\n' .. field .. value end
local function whole(id, key)
    local all, body, version = call('HGETALL', key), {}, ''
    for i = 1, #all, 2 do
        if all[i] == 'version' then
            version = all[i + 1]
        elseif all[i] ~= 'session' and all[i] ~= 'resume' and all[i] ~= 'probe'
               and all[i] ~= 'certificate' then
            body[#body + 1] = pair(all[i], all[i + 1])
        end
    end
    tell('adopt', id, version, table.concat(body))
end

-- Of whose devices the user's hash has no more what is not one any more.
local function follow(e)
    if e.user then follow_device(e.id, e.user) end
    for _, user in pairs(e.listed) do
        if user ~= '' and user ~= e.user then follow_device(e.id, user) end
    end
end

-- An id without an entry: nothing may speak of it.
local function judge_missing(e, find)
    local any, had_user = false, false
    for node, user in pairs(e.listed) do
        if not holding or lease[node] >= now then
            any, had_user = true, had_user or user ~= ''
            find('missing', node)
            if mend then call('HDEL', index[node], e.id) end
        end
    end
    if (e.deadline or e.probe_at) and not holding then
        any = true
        find('no-entry')
        if mend then
            call('ZREM', deadlines, 'c:' .. e.id)
            call('ZREM', registered, e.id)
        end
    end
    if mend and (any or e.removed) then
        tell('close', e.id, '', pair('reason', 'repaired'))
        follow(e)
        if not had_user then follow_entry(e.id, false) end
    end
end

-- Without an owner: it may be listed nowhere, and must have a deadline.
local function forsake(e, at)
    for node in pairs(e.listed) do call('HDEL', index[node], e.id) end
    call('ZREM', registered, e.id)
    call('HDEL', e.key, 'registered', 'probe')
    call('HSET', e.key, 'node', '')
    call('PEXPIRE', e.key, ttl)
    call('ZADD', deadlines, integer(at), 'c:' .. e.id)
    follow(e)
end

-- What the index and the user's hash say of an entry whose connection is there.
local function judge_user(e, find)
    local user = e.user or ''
    if e.listed[e.node] and e.listed[e.node] ~= user then
        find('user', e.node)
        if mend then
            call('HSET', index[e.node], e.id, user)
            follow(e)
        end
    end
    if e.user and redis.pcall('HEXISTS', prefix .. 'user:' .. user, e.id) ~= 1 then
        find('no-device')
        if mend then follow(e) end
    end
end

local function judge_entry(e, find)
    if e.ttl < 0 then
        find('ttl')
        if mend then call('PEXPIRE', e.key, ttl) end
    end
    local spoilt = false
    if not (e.session and #e.session == 32 and not string.find(e.session, '[^0-9a-f]')) then
        spoilt = true
        find('session')
        if mend then call('HSET', e.key, 'session', session) end
    end
    if not (e.version and (e.version == '0' or string.find(e.version, '^[1-9]%d*$')) and
        (#e.version < 19 or #e.version == 19 and e.version <= '9223372036854775807')) then
        spoilt = true
        find('version')
        if mend then call('HSET', e.key, 'version', '0') end
    end
    if not e.node then
        spoilt = true
        find('node')
    end

    for node in pairs(e.listed) do
        if node ~= e.node then
            find('listed', node)
            if mend then call('HDEL', index[node], e.id) end
        end
    end
    if e.probe_at and not (e.registered and e.node == '') then
        find('undue')
        if mend then call('ZREM', registered, e.id) end
    end
    if e.node == '' and e.registered then
        if e.deadline then
            find('undue')
            if mend then call('ZREM', deadlines, 'c:' .. e.id) end
        end
        if not e.probe_at then find('no-deadline') end
        if mend and not e.probe_at and not spoilt then
            call('ZADD', registered, integer(now), e.id)
        end
    elseif e.node == '' then
        if not e.deadline then find('no-deadline') end
        if mend and not e.deadline and not spoilt then
            forsake(e, now + grace)
            tell('orphan', e.id, '', '')
        end
    elseif e.node then
        if e.deadline then
            find('undue')
            if mend then call('ZREM', deadlines, 'c:' .. e.id) end
        end
        if not is_alive(e.node) then
            local ends = lease[e.node] or 0
            find('abandoned', e.node)
            if mend and not spoilt then
                forsake(e, (ends > 0 and ends or now) + grace)
                tell('orphan', e.id, '', '')
            end
        elseif not e.listed[e.node] and index[e.node] then
            find('unlisted', e.node)
            if mend and not spoilt then
                call('HSET', index[e.node], e.id, e.user or '')
            end
        end
        if is_alive(e.node) and not spoilt then judge_user(e, find) end
    end
    if mend and spoilt then
        forsake(e, now + grace)
        whole(e.id, e.key)
    end
end

each_name(function(id, key, find)
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
        find('type')
        if mend then
            call('DEL', e.key)
            e.removed = true
        end
    end
    e.session, e.version, e.node, e.user, e.registered = v[1], v[2], v[3], v[4], v[5]
    if e.ttl == -2 or e.removed then
        judge_missing(e, find)
    elseif not v.err then
        judge_entry(e, find)
    end
end)
