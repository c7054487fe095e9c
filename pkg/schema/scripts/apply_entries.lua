-- apply_entries: the state of entries, as it will be after the operations judged so far. A part of
-- apply (apply.lua).
--
-- Takes: from apply.lua.
-- Gives: ops, results, total (the operations so far); load_entry and its indexes, lease_end,
--        is_node_alive, is_listed, registered, reserve_entry, find_other_listing, drop_listing,
--        close_expired, await_reopen, is_registered, has_state, stored_resume.

local ops, results, total = {}, {}, 0

-- An entry is the reply to HMGET with more elements; named ones would cost a tenth of the script.
-- NODE is false when there is no entry, '' when it has no connection. STATE is nil when it has not
-- been read. ABSENT: the hash has expired, but the entry is still counted. RESUME: the secret that a
-- returning client must know (false: there is none; nil: not read). REGISTERED: whether it is
-- registered, without a connection (nil: not read).
local SESSION, VERSION, NODE, STATE, ABSENT, RESUME, REGISTERED = 1, 2, 3, 4, 5, 6, 7
local known = {}
local function load_entry(key)
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
local function is_node_alive(other) return other == node or in_recovery or lease_end(other) >= now end

-- An entry whose hash has expired is still listed, or has its deadline, and is counted. An operation
-- that opens it again, or publishes its end, removes that.
local unlisted = {} -- index .. id of what this batch has removed
local function is_listed_in(index, id)
    return not unlisted[index .. id] and redis.pcall('HEXISTS', index, id) == 1
end
local function is_listed(op) return is_listed_in(op.index, op.id) end
local registered = prefix .. 'registered'
-- Counts a new entry. Whatever an expired entry of its id has left is already counted, so the new one
-- fits even a full space. Returns nil; or the line of the refusal, with nothing changed.
local function reserve_entry(op, k)
    local was_registered = k[ABSENT] and call('ZSCORE', registered, op.id)
    local was_listed = k[ABSENT] and not k.awaits_reopen and is_listed(op)
    local due = k[ABSENT] and (k.awaits_reopen or call('ZSCORE', deadlines, 'c:' .. op.id))
    local left = (was_registered and 1 or 0) + (was_listed and 1 or 0) + (due and 1 or 0)
    if left == 0 and is_full and not op.restores then return 'full' end
    if left == 0 and entries >= max_entries then return 'limit' end
    entries, k[ABSENT] = entries - left + 1, nil
    op.was_registered, op.was_listed, op.had_deadline = was_registered, was_listed, due
    return nil
end
-- The other front-end whose index has the same id, or nil; one with a lease comes first. After Redis
-- was restored to an older state, or a TTL expired, several indexes may have an id for a while. It is
-- called rarely: only when an index is inconsistent, or the entry of a given id is missing.
local all_nodes
local function find_other_listing(op)
    all_nodes = all_nodes or call('ZRANGE', nodes, 0, -1)
    local crashed
    for _, other in ipairs(all_nodes) do
        local index = prefix .. 'node:' .. other
        if index ~= op.index and is_listed_in(index, op.id) then
            if lease_end(other) >= now then return other end
            crashed = crashed or other
        end
    end
    return crashed
end
-- Removes an id that should not be in the index, without an event. The write corrects the count.
local function drop_listing(op)
    if not op.action and is_listed(op) then
        op.action, unlisted[op.index .. op.id] = 'unlist', true
    end
    return 'missing'
end
-- Closes an entry that only the index still has. If another index has it, too, that front-end owns
-- the entry, and opens it again or closes it.
local function close_expired(op, k)
    if not k[ABSENT] or not is_listed(op) then return 'missing' end
    if find_other_listing(op) then return drop_listing(op) end
    k[ABSENT] = nil
    op.action, op.reason, op.listed_by = 'close', 'expired', node
    entries = entries - 1
    return 'ok'
end

-- The connection of such an entry was lost, or its front-end's index is older than the client's move
-- to another front-end. During the recovery grace, its front-end or its client may still open it again.
-- It waits for that as an orphan does, without an event.
local function await_reopen(op, k)
    if not k[ABSENT] or not is_listed(op) then return 'missing' end
    if find_other_listing(op) then return drop_listing(op) end
    op.action, op.at, k.awaits_reopen = 'await_reopen', now + grace, true
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
local function stored_resume(op, k)
    if k[RESUME] == nil then k[RESUME] = call('HGET', op.key, 'resume') end
    return k[RESUME]
end

