-- Wireshark's dissector of p2pwire, written by `python -m p2pwire.generate` from the protocol's schema.
--
-- It reads the handshake of live TCP streams, whose records stay closed, and all of the captures that p2pwire writes
-- (`p2pwire get --capture FILE`), in which the records are open. Put it into Wireshark's folder of personal plugins, or
-- let `p2pwire dissector --install` do so.

local p2pwire = Proto("p2pwire", "p2pwire")

--@TABLES@

-- What is in the tables:
--   MESSAGES[title] = {text, fields}; a field is {abbr, kind, ...}:
--     number: size, [names]           bytes: size            constant: size
--     blob: [prefix], [text], [inside]   list: [prefix], element (number of bytes, or a title), [plain: of numbers]
--   and may have absent = {other field, value}. A prefix is {abbr, size}.

local FIELDS = {}
local function define(abbr, kind, name, names, text)
    local makers = {
        number1 = ProtoField.uint8, number2 = ProtoField.uint16, number4 = ProtoField.uint32, number8 = ProtoField.uint64,
    }
    if kind == "bytes" then
        FIELDS[abbr] = ProtoField.bytes(abbr, name, base.SPACE, text)
    elseif kind == "text" then
        FIELDS[abbr] = ProtoField.string(abbr, name, base.UNICODE, text)
    elseif kind == "none" then
        FIELDS[abbr] = ProtoField.none(abbr, name, text)
    else
        FIELDS[abbr] = makers[kind](abbr, name, names and base.DEC or base.DEC, names, nil, text)
    end
end

for title, message in pairs(MESSAGES) do
    define(message.abbr, "none", title, nil, message.text)
    for _, field in ipairs(message.fields) do
        if field.prefix then
            define(field.prefix.abbr, "number" .. field.prefix.size, field.prefix.name)
        end
        if field.kind == "number" then
            define(field.abbr, "number" .. field.size, field.name, field.names, field.text)
        elseif field.kind == "list" and field.plain then
            define(field.abbr, "number" .. field.element, field.name, field.names, field.text)
        elseif field.kind ~= "list" or type(field.element) == "number" then
            define(field.abbr, field.utf8 and "text" or "bytes", field.name, nil, field.text)
        end
    end
end
define("p2pwire.speaker", "text", "Speaker", nil, "which side of the handshake said it")
define("p2pwire.handshake_message", "bytes", "Handshake message", nil, "a Noise message")
define("p2pwire.record", "bytes", "Encrypted record", nil, "frames that can be read with the keys alone")
define("p2pwire.frame_body", "bytes", "Body", nil, "the body of a frame of an unknown type")

local listed = {}
for _, field in pairs(FIELDS) do
    listed[#listed + 1] = field
end
p2pwire.fields = listed

local malformed = ProtoExpert.new("p2pwire.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
p2pwire.experts = { malformed }

-- --- Messages ---

local function number(range)
    if range:len() == 8 then
        return range:uint64():tonumber()
    end
    return range:uint()
end

local message_at

-- One field: where what follows begins, or nil if its bytes are not all there.
local function field_at(tvb, at, stop, tree, field, values)
    if field.absent and values[field.absent[1]] == field.absent[2] then
        return at
    end
    local count
    if field.prefix then
        if at + field.prefix.size > stop then return nil end
        local range = tvb(at, field.prefix.size)
        count = number(range)
        tree:add(FIELDS[field.prefix.abbr], range)
        at = at + field.prefix.size
    end
    if field.kind == "number" then
        if at + field.size > stop then return nil end
        local range = tvb(at, field.size)
        values[field.name] = number(range)
        tree:add(FIELDS[field.abbr], range)
        return at + field.size
    elseif field.kind == "list" then
        local left = count
        while (left == nil and at < stop) or (left ~= nil and left > 0) do
            if type(field.element) == "number" then
                if at + field.element > stop then return nil end
                tree:add(FIELDS[field.abbr], tvb(at, field.element))
                at = at + field.element
            else
                at = message_at(tvb, at, stop, tree, field.element, field.known)
                if at == nil then return nil end
            end
            left = left and left - 1
        end
        return at
    end
    local size = field.size or count or stop - at
    if at + size > stop then return nil end
    if size > 0 then
        local range = tvb(at, size)
        local item = tree:add(FIELDS[field.abbr], range)
        local inside = field.inside or (values.known and field.name == values.known.value and
            values.known.messages[values[values.known.key]])
        if inside then
            message_at(tvb, at, at + size, item, inside)
        end
    end
    return at + size
end

-- A message from `at` on, at most up to `stop`: where it ends, or nil if it is cut off.
message_at = function(tvb, at, stop, tree, title, known)
    local message = MESSAGES[title]
    local item = tree:add(FIELDS[message.abbr], tvb(at, math.max(0, stop - at)))
    item:set_text(title)
    local values, from = { known = known }, at
    for _, field in ipairs(message.fields) do
        local after = field_at(tvb, at, stop, item, field, values)
        if after == nil then
            item:add_proto_expert_info(malformed, title .. "." .. field.name .. " is cut off")
            return nil
        end
        at = after
    end
    item:set_len(at - from)
    return at, values
end

-- A message that fills the bytes up to `stop`.
local function whole(tvb, at, stop, tree, title)
    local after = message_at(tvb, at, stop, tree, title)
    if after ~= nil and after < stop then
        tree:add_proto_expert_info(malformed, (stop - after) .. " bytes after " .. title)
    end
end

-- --- Pieces of a link ---

local function is_preamble(tvb, at)
    return tvb:len() - at >= #MAGIC / 2 and tvb(at, #MAGIC / 2):bytes():tohex() == MAGIC
end

local function frames(tvb, at, tree)
    local names = {}
    while at < tvb:len() do
        local after, header = message_at(tvb, at, tvb:len(), tree, "FrameHeader")
        if after == nil then return names end
        local stop = after + header.length
        local title = FRAMES[header.type]
        names[#names + 1] = FRAME_NAMES[header.type] or string.format("frame 0x%02X", header.type)
        if stop > tvb:len() then
            tree:add_proto_expert_info(malformed, "a frame goes past its record's end")
            return names
        end
        if title then
            whole(tvb, after, stop, tree, title)
        elseif header.length > 0 then
            tree:add(FIELDS["p2pwire.frame_body"], tvb(after, header.length))
        end
        at = stop
    end
    return names
end

-- The preamble that begins at `at`; where it ends, the name of what it is, and its kind.
local function preamble(tvb, at, tree)
    local after, header = message_at(tvb, at, tvb:len(), tree, "PreambleHeader")
    if after == nil then return nil, "preamble, cut off" end
    local stop = math.min(after + header.length, tvb:len())
    local title = PREAMBLES[header.kind]
    if title then
        whole(tvb, after, stop, tree, title)
    end
    return stop, title or "preamble", header.kind
end

local function handshake_message(tvb, at, tree)
    local after, header = message_at(tvb, at, tvb:len(), tree, "HandshakeHeader")
    if after == nil then return tvb:len() end
    local stop = math.min(after + header.length, tvb:len())
    tree:add(FIELDS["p2pwire.handshake_message"], tvb(after, stop - after))
    return stop
end

local function clear(tvb, at, tree)
    local names = {}
    while at < tvb:len() do
        if is_preamble(tvb, at) then
            local after, name = preamble(tvb, at, tree)
            names[#names + 1] = name
            if after == nil then return names end
            at = after
        else
            at = handshake_message(tvb, at, tree)
            names[#names + 1] = "handshake message"
        end
    end
    return names
end

-- Alike neighbours once, with their count.
local function summary(names)
    local parts, index = {}, 1
    while index <= #names do
        local last = index
        while names[last + 1] == names[index] do last = last + 1 end
        local times = last - index + 1
        parts[#parts + 1] = times > 1 and (names[index] .. " ×" .. times) or names[index]
        index = last + 1
    end
    return table.concat(parts, ", ")
end

-- --- Captures of p2pwire: a byte for the kind of piece, then the piece ---

function p2pwire.dissector(tvb, pinfo, tree)
    pinfo.cols.protocol = "p2pwire"
    local item = tree:add(p2pwire, tvb())
    local names
    if tvb(0, 1):uint() == CLEAR then
        names = clear(tvb, 1, item)
    else
        names = frames(tvb, 1, item)
    end
    pinfo.cols.info = summary(names)
    item:append_text(", " .. summary(names))
    return tvb:len()
end

-- --- Live streams ---

local stream = Proto("p2pwire_tcp", "p2pwire over TCP")
local stream_number = Field.new("tcp.stream")
local HEADER = #MAGIC / 2 + 3 -- magic, kind, length; no record and no handshake message is shorter
local directions = {} -- stream and port -> {kind of its preamble, where each of its pieces begins -> ordinal}

function stream.init()
    directions = {}
end

local function piece_length(tvb, pinfo, at)
    if is_preamble(tvb, at) then
        return HEADER + tvb(at + HEADER - 2, 2):uint()
    end
    return 2 + tvb(at, 2):uint()
end

local function piece(tvb, pinfo, tree)
    local key = tostring(stream_number().value) .. ":" .. pinfo.src_port
    local direction = directions[key] or { count = 0, seen = {} }
    directions[key] = direction
    pinfo.cols.protocol = "p2pwire"
    local item = tree:add(p2pwire, tvb())
    local name
    if is_preamble(tvb, 0) then
        local _, title, kind = preamble(tvb, 0, item)
        direction.kind = kind
        name = title
    else
        local place = pinfo.number .. "/" .. tvb:offset()
        if direction.seen[place] == nil then
            direction.seen[place] = direction.count
            direction.count = direction.count + 1
        end
        -- An initiator sends two messages, a responder one.
        if direction.seen[place] < (direction.kind == INITIATOR and 2 or 1) then
            handshake_message(tvb, 0, item)
            name = "handshake message"
        else
            local after = message_at(tvb, 0, tvb:len(), item, "RecordHeader")
            item:add(FIELDS["p2pwire.record"], tvb(after))
            name = "record"
        end
    end
    item:append_text(", " .. name)
    pinfo.cols.info:append(" " .. name)
    return tvb:len()
end

function stream.dissector(tvb, pinfo, tree)
    pinfo.cols.info = ""
    dissect_tcp_pdus(tvb, tree, HEADER, piece_length, piece)
    return tvb:len()
end

local function heuristic(tvb, pinfo, tree)
    if not is_preamble(tvb, 0) then
        return false
    end
    pinfo.conversation = stream
    stream.dissector(tvb, pinfo, tree)
    return true
end
stream:register_heuristic("tcp", heuristic)
