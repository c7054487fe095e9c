-- users: the status of users, derived from their devices. A part of apply and of the repair scripts.
--
-- Takes: call, now, integer (prelude.lua); prefix, channels, head, deadlines, agreed, epoch,
--        offline_delay, in_recovery.
-- Gives: DOT, touch_user, note_entry, sync_device, publish_users, seq.
--
-- user:<user> has a field for each connected device: its id -> online or busy. `.status` follows from
-- them: busy if any device is, else online; `.seq` is the number of its last change. When the last
-- device has disconnected, the status remains until the deadline u:<user> (the offline delay); then
-- the user is offline and the hash is deleted. An entry that is not a user's device is online under
-- its own id while it exists. A name can be both; then busy counts before online, and online before
-- offline.
--
-- The status of each touched user is derived once, at the end, and published if it has changed. The
-- script writes seq, which numbers what was published, to head at its end.
local DOT = 46

-- Numbers all published statuses.
local seq
local function next_seq()
    seq = (seq or tonumber(call('HGET', head, 'seq') or 0)) + 1
    return seq
end

local touched, touched_by_name = {}, {}
local function touch_user(name)
    local u = touched_by_name[name]
    if not u then
        u = {name = name, key = prefix .. 'user:' .. name}
        touched_by_name[name] = u
        touched[#touched + 1] = u
    end
    return u
end

-- An entry that is not a device was opened or closed.
local function note_entry(id, exists)
    local u = touch_user(id)
    if u.entry_before == nil then u.entry_before = not exists end
    u.entry = exists
end
-- Copies the device's status from its entry to its user. left: when it disconnected, if not now.
local function sync_device(id, user, left)
    local u, k = touch_user(user), redis.pcall('HMGET', prefix .. 'client:' .. id, 'user', 'status', 'node')
    if k[1] == user and k[3] and k[3] ~= '' then
        local added = redis.pcall('HSET', u.key, id, k[2] == 'busy' and 'busy' or 'online')
        u.has_new_device = u.has_new_device or added == 1
    else
        redis.pcall('HDEL', u.key, id)
        u.left = math.max(u.left or 0, left or now)
    end
end

local function has_entry(u)
    if u.entry == nil then
        local k = redis.pcall('HMGET', prefix .. 'client:' .. u.name, 'node', 'user')
        u.entry = k[1] and not k[2] and true or false
    end
    return u.entry
end
local function entry_status(exists) return exists and 'online' or 'offline' end

-- The status last published; nil when it is unknown.
local function published_status(u, stored)
    if stored then return stored end
    if u.entry_before ~= nil then return entry_status(u.entry_before) end
    if u.left then return nil end
    return entry_status(has_entry(u))
end

-- Whether the status was last published before this epoch, during the recovery grace. The stored one
-- may then be older than the one that front-ends know, and they wait for one of this epoch.
local function is_from_old_epoch(number)
    if not in_recovery then return false end
    return tonumber(number or 0) <= tonumber(call('HGET', head, 'epoch_seq') or 0)
end

local function derive_status(u)
    local all, stored, device, number = redis.pcall('HGETALL', u.key), nil, nil, nil
    for i = 1, #all, 2 do
        if all[i] == '.status' then
            stored = all[i + 1]
        elseif all[i] == '.seq' then
            number = all[i + 1]
        elseif string.byte(all[i]) ~= DOT and device ~= 'busy' then
            device = all[i + 1]
        end
    end
    local deadline, status = 'u:' .. u.name, device
    if not device then
        if stored and offline_delay > 0 and not u.is_offline_due then
            call('ZADD', deadlines, 'NX', integer((u.left or now) + offline_delay), deadline)
            return
        end
        status = entry_status(has_entry(u))
        if all[1] then call('DEL', u.key) end
    end
    if u.has_new_device or u.is_offline_due then call('ZREM', deadlines, deadline) end
    local publishes = status ~= published_status(u, stored) or
                      (stored and u.has_new_device and is_from_old_epoch(number))
    if publishes or device and not stored then
        local at = integer(next_seq())
        if device then call('HSET', u.key, '.status', status, '.seq', at) end
        if publishes then
            call('PUBLISH', channels .. 'presence:' .. u.name,
                 agreed .. ' ' .. epoch .. ' ' .. at .. ' ' .. status)
        end
    end
end
local function publish_users()
    for i = 1, #touched do derive_status(touched[i]) end
end
