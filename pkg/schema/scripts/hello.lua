-- hello: the first command on every link, for every partition.
--
-- It gives the front-end a lease and a link number; scripts with an older link number are refused
-- from now on. When Redis's run id is not the stored one, or nothing is stored, Redis may have lost
-- writes: a new epoch begins, and nothing is closed during the recovery grace. The grace also begins
-- when no front-end has swept for longer than a lease: then all leases have ended, and the first
-- front-end to return must not count the others as crashed.
--
-- It registers the formats that the front-end understands, and refuses it if it does not understand
-- the one that is stored. A partition begins with the oldest one; sweep goes on to newer ones.
--
-- It is joined from prelude.lua, formats.lua and this file.
--
-- KEYS  1 head  2 nodes  3 events (channel)
-- ARGV  1 run id of Redis  2 epoch to begin if necessary (16 hex digits)  3 P  4 node  5 lease ms
--       6 recovery grace ms  7 the oldest format that the front-end understands  8 the least reader
--       of that  9 the first release with such a reader  10 the newest format that it understands
--       11 revision of the shared settings that it runs with
-- Returns {"ok", epoch, revision, link, now, end of the recovery grace, 1 if the epoch is new, the
--       format to write}
--      or {"partitions", stored P}
--      or {"format", stored format, its least reader, its first release}: the front-end cannot read it
--      or {"shared", revision}: the shared settings have changed, read them first
local h = call('HMGET', KEYS[1], 'epoch', 'run', 'P', 'revision', 'hold_until', 'link:' .. ARGV[4],
               'last')
local epoch, revision, recovery_end = h[1], h[4] or '0', h[5] or '0'
local f = call('HMGET', KEYS[1], 'format', 'reader', 'release')
if (tonumber(f[2] or 1) or math.huge) > tonumber(ARGV[10]) or
    (tonumber(f[1] or 1) or -1) < tonumber(ARGV[7]) then
    return {'format', f[1] or '1', f[2] or '1', f[3] or ''}
end
if h[3] and h[3] ~= ARGV[3] then return {'partitions', h[3]} end
local shared = tonumber(call('HGET', KEYS[1], 'shared') or 0) or 0
if shared > tonumber(ARGV[11]) then return {'shared', integer(shared)} end
call('HSET', KEYS[1], 'shared', ARGV[11], 'formats:' .. ARGV[4], ARGV[7] .. ' ' .. ARGV[10])
if not f[1] then
    call('HSET', KEYS[1], 'format', ARGV[7], 'reader', ARGV[8], 'release', ARGV[9])
end
local agreed = written_format(f[1] or ARGV[7])

local is_new = 0
if not epoch or h[2] ~= ARGV[1] then
    is_new, epoch, recovery_end = 1, ARGV[2], integer(now + ARGV[6])
    call('HSET', KEYS[1], 'epoch', epoch, 'run', ARGV[1], 'P', ARGV[3], 'revision', revision,
         'last', write_last(agreed, now), 'hold_until', recovery_end,
         'epoch_seq', call('HGET', KEYS[1], 'seq') or '0')
    call('PUBLISH', KEYS[3], event_head(agreed, epoch, revision, 0))
else
    local since = now - (h[7] and read_last(h[7]) or now)
    if since > tonumber(ARGV[5]) or since < 0 then
        recovery_end = integer(now + ARGV[6])
        call('HSET', KEYS[1], 'last', write_last(agreed, now), 'hold_until', recovery_end)
    end
end

local link = tonumber(string.match(h[6] or '0', '^%d+')) + 1
call('HSET', KEYS[1], 'link:' .. ARGV[4], integer(link) .. ' 0')
call('ZADD', KEYS[2], integer(now + ARGV[5]), ARGV[4])
return {'ok', epoch, revision, integer(link), integer(now), recovery_end, is_new, agreed}
