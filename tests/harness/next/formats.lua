-- formats: as pkg/schema/scripts/formats.lua, of a release that also understands a format 2: in it,
-- the count of an event message goes before the revision, and `last` of head begins with "@".
--
-- Gives: NEWEST_FORMAT, written_format, event_head, write_last, read_last.

-- As in format.c.
local NEWEST_FORMAT = 2
-- The format to write; stored: that of head.
local function written_format(stored) return math.min(tonumber(stored) or 1, NEWEST_FORMAT) end

-- The first line of an event message.
local function event_head(format, epoch, revision, count)
    if format == 1 then return '1 ' .. epoch .. ' ' .. revision .. ' ' .. count .. '\n' end
    return format .. ' ' .. epoch .. ' ' .. count .. ' ' .. revision .. '\n'
end
-- The field `last` of head.
local function write_last(format, ms) return (format == 1 and '' or '@') .. string.format('%.0f', ms) end
local function read_last(text) return tonumber(string.match(text, '%d+$')) end
