-- owners: the front-ends that own entries.
--
-- KEYS  each: client:<id>, all of one partition
-- Returns an array: for each key its entry's node; "" when there is no entry, or nobody owns it.
local owners = {}
for i, key in ipairs(KEYS) do owners[i] = redis.call('HGET', key, 'node') or '' end
return owners
