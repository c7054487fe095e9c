-- What each key will be after the operations judged so far: HMGET's own reply, {session, version,
-- node, state if known}; node is false when there is no entry, '' when nobody has its connection.
-- Plain indexes: a table with names would cost a tenth of the whole script. Rare ones: absent, when
-- there was no hash and what it has left is still counted;
-- resume, what who comes back to it must bring (false: nothing will do, nil: not looked up);
-- registered, whether it has registered, without a connection (nil: not looked up).
local SESSION, VERSION, NODE, STATE, ABSENT, RESUME, REGISTERED = 1, 2, 3, 4, 5, 6, 7
local known = {}
local function look(key)
    local k = known[key]
    if not k then
        k = redis.pcall('HMGET', key, 'session', 'version', 'node')
        k[VERSION] = k[VERSION] or '0'
        if not k[NODE] then k[ABSENT] = true end
        known[key] = k
    end
    return k
end

local lease_of = {}
local function lease_end(other)
    if not lease_of[other] then lease_of[other] = tonumber(call('ZSCORE', nodes, other) or 0) end
    return lease_of[other]
end
local function is_alive(other) return other == node or holding or lease_end(other) >= now end

-- A hash that only its TTL ended is still listed, or has its deadline, and is counted: what makes
-- the entry anew, or tells its end, takes that back.
-- What this batch takes from an index is not there any more for what it judges after that.
local unlisted = {} -- index .. id
local function is_listed_in(index, id)
    return not unlisted[index .. id] and redis.pcall('HEXISTS', index, id) == 1
end
local function is_listed(op) return is_listed_in(op.index, op.id) end
local registered = prefix .. 'registered'
-- Counts an entry that is to be made, in place of what an expired one of its id has left: that is
-- counted already, so a full space takes it. False when the space is full: then nothing has been
-- counted, or taken back.
local function make_room(op, k)
    local was_registered = k[ABSENT] and call('ZSCORE', registered, op.id)
    local was_listed = k[ABSENT] and not k.outlived and is_listed(op)
    local due = k[ABSENT] and (k.outlived or call('ZSCORE', deadlines, 'c:' .. op.id))
    local left = (was_registered and 1 or 0) + (was_listed and 1 or 0) + (due and 1 or 0)
    if left == 0 and entries >= most then return false end
    entries, k[ABSENT] = entries - left + 1, nil
    op.was_registered, op.was_listed, op.due = was_registered, was_listed, due
    return true
end
-- Which other front-end's index has the same id, or nil; a living one's rather than a dead one's.
-- After Redis has come back older, or a TTL has ended, an id may be in several of them for a while.
-- Rare, as only those ask who find an index wrong, or an entry of a given id missing.
local all_nodes
local function listed_elsewhere(op)
    all_nodes = all_nodes or call('ZRANGE', nodes, 0, -1)
    local dead
    for _, other in ipairs(all_nodes) do
        local index = prefix .. 'node:' .. other
        if index ~= op.index and is_listed_in(index, op.id) then
            if lease_end(other) >= now then return other end
            dead = dead or other
        end
    end
    return dead
end
-- What the index should not have: nobody is told. It is counted when it is written.
local function drop_listing(op)
    if not op.how and is_listed(op) then
        op.how, unlisted[op.index .. op.id] = 'unlist', true
    end
    return 'missing'
end
-- The end of an entry that only the index still has. Where another one has it too, that front-end
-- has the entry, and opens it again, or ends it.
local function end_expired(op, k)
    if not k[ABSENT] or not is_listed(op) then return 'missing' end
    if listed_elsewhere(op) then return drop_listing(op) end
    k[ABSENT] = nil
    op.how, op.reason, op.from = 'close', 'expired', node
    entries = entries - 1
    return 'ok'
end

-- The connection of such an entry has gone, or its front-end's index is older than its client's move to
-- another one. While nobody is taken for dead, somebody may still open it again: its front-end, or its
-- client. It waits for that as an orphan does, and nobody is told.
local function outlive(op, k)
    if not k[ABSENT] or not is_listed(op) then return 'missing' end
    if listed_elsewhere(op) then return drop_listing(op) end
    op.how, op.at, k.outlived = 'outlive', now + grace, true
    return 'ok'
end

local function is_registered(op, k)
    if k[NODE] ~= '' then return false end
    if k[REGISTERED] == nil then
        k[REGISTERED] = redis.pcall('HEXISTS', op.key, 'registered') == 1
    end
    return k[REGISTERED]
end

local function has_state(op, k) return k[STATE] or redis.pcall('HEXISTS', op.key, 'state') == 1 end
local function resume_of(op, k)
    if k[RESUME] == nil then k[RESUME] = call('HGET', op.key, 'resume') end
    return k[RESUME]
end

