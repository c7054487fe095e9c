-- formats: the formats that this release understands (docs/upgrade.md), and what they write
-- differently: it is written and read by functions of this file only. A part of most scripts.
--
-- Gives: NEWEST_FORMAT, written_format, event_head, write_last, read_last.

-- As in format.c.
local NEWEST_FORMAT = 1
-- The format to write; stored: that of head.
local function written_format(stored) return math.min(tonumber(stored) or 1, NEWEST_FORMAT) end

-- The first line of an event message.
local function event_head(format, epoch, revision, count)
    return format .. ' ' .. epoch .. ' ' .. revision .. ' ' .. count .. '\n'
end
-- The field `last` of head.
local function write_last(format, ms) return string.format('%.0f', ms) end
local function read_last(text) return tonumber(text) end
