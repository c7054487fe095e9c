-- users: a part of apply, and of the scripts of fsck: how users are, which follows from their
-- devices. It takes from before it: call, prefix, channels, deadlines, head, epoch, now, hold, holding,
-- integer.
--
-- user:<user> has a field for each device whose connection is there: its id -> online or busy. Of
-- them follows .status: busy when one is, else online; and .seq, when it last changed. When the last
-- one has gone it stays as it was until the deadline u:<user> (the hold), then it is offline and the
-- hash is gone. An entry that is no device of a user is online, by its own id, while it exists; a name
-- can be both, then whichever says more counts.
--
-- What is touched is derived once, at the end, and told when it has changed. The script's end writes
-- seq, which numbers what was told, into head.
local DOT = 46

-- Numbers all that is told of users.
local seq
local function next_seq()
    seq = (seq or tonumber(call('HGET', head, 'seq') or 0)) + 1
    return seq
end

local touched, names = {}, {}
local function touch(name)
    local n = names[name]
    if not n then
        n = {name = name, key = prefix .. 'user:' .. name}
        names[name] = n
        touched[#touched + 1] = n
    end
    return n
end

-- An entry that is no device has come or gone.
local function follow_entry(id, is_there)
    local n = touch(id)
    if n.entry_before == nil then n.entry_before = not is_there end
    n.entry = is_there
end
-- The device as its hash is now. left: when its connection went, if not now.
local function follow_device(id, user, left)
    local n, k = touch(user), redis.pcall('HMGET', prefix .. 'client:' .. id, 'user', 'status', 'node')
    if k[1] == user and k[3] and k[3] ~= '' then
        local added = redis.pcall('HSET', n.key, id, k[2] == 'busy' and 'busy' or 'online')
        n.has_come = n.has_come or added == 1
    else
        redis.pcall('HDEL', n.key, id)
        n.left = math.max(n.left or 0, left or now)
    end
end

local function has_entry(n)
    if n.entry == nil then
        local k = redis.pcall('HMGET', prefix .. 'client:' .. n.name, 'node', 'user')
        n.entry = k[1] and not k[2] and true or false
    end
    return n.entry
end
local function status_of_entry(is_there) return is_there and 'online' or 'offline' end

-- What it was told to be; nil when that cannot be known any more.
local function status_before(n, stored)
    if stored then return stored end
    if n.entry_before ~= nil then return status_of_entry(n.entry_before) end
    if n.left then return nil end
    return status_of_entry(has_entry(n))
end

-- Whether a user was last published before this epoch, and the hold goes on: what is stored may then
-- be older than what front-ends know, and they wait for a word of this epoch.
local function is_from_before(number)
    if not holding then return false end
    return tonumber(number or 0) <= tonumber(call('HGET', head, 'epoch_seq') or 0)
end

local function derive(n)
    local all, stored, device, number = redis.pcall('HGETALL', n.key), nil, nil, nil
    for i = 1, #all, 2 do
        if all[i] == '.status' then
            stored = all[i + 1]
        elseif all[i] == '.seq' then
            number = all[i + 1]
        elseif string.byte(all[i]) ~= DOT and device ~= 'busy' then
            device = all[i + 1]
        end
    end
    local deadline, status = 'u:' .. n.name, device
    if not device then
        if stored and hold > 0 and not n.is_due then
            call('ZADD', deadlines, 'NX', integer((n.left or now) + hold), deadline)
            return
        end
        status = status_of_entry(has_entry(n))
        if all[1] then call('DEL', n.key) end
    end
    if n.has_come or n.is_due then call('ZREM', deadlines, deadline) end
    local is_told = status ~= status_before(n, stored) or (stored and n.has_come and is_from_before(number))
    if is_told or device and not stored then
        local at = integer(next_seq())
        if device then call('HSET', n.key, '.status', status, '.seq', at) end
        if is_told then
            call('PUBLISH', channels .. 'presence:' .. n.name, '1 ' .. epoch .. ' ' .. at .. ' ' .. status)
        end
    end
end
local function tell_users()
    for i = 1, #touched do derive(touched[i]) end
end
