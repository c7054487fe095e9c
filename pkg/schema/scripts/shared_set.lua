-- shared_set: an operator changes shared settings, which all front-ends adopt (shared.lua).
--
-- The longer of the leases before and after the change bounds the leases of others for as long: a
-- front-end that has not adopted the change yet must not count as crashed.
--
-- It is joined from prelude.lua and this file.
--
-- KEYS  1 shared (hash)
-- ARGV  1 revision that was read  2 the longer of the lease that was read and the new one, ms
--       3.. {key value} of each setting that changes
-- Returns {"ok", revision}, or {"changed"} when the revision is another one.
local h = call('HMGET', KEYS[1], '.revision', '.lease')
if (h[1] or '0') ~= ARGV[1] then return {'changed'} end
local revision, bound = integer(tonumber(ARGV[1]) + 1), tonumber(ARGV[2])
local before, till = string.match(h[2] or '', '^(%d+) (%d+)$')
if before and tonumber(till) > now then bound = math.max(bound, tonumber(before)) end
call('HSET', KEYS[1], '.revision', revision, '.lease', integer(bound) .. ' ' .. integer(now + bound))
for i = 3, #ARGV, 2 do call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return {'ok', revision}
