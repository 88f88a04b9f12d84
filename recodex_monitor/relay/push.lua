-- Appends messages to streams, publishes them, and sets the streams' times to live.
--
-- It may be called again with the same arguments: what is there already is neither added nor
-- published again, and what would leave a hole is not added at all.
--
-- KEYS: the fence, the list of late messages, the nodes that hand over, then the streams.
-- ARGV: the owner's token; milliseconds to live of an open and of an ended stream; the prefix of
-- the keys of ends, and their seconds to live; how many late entries are dealt with by this call; the
-- length of the prefix of streams; the id with which the first of those entries begins; "1" if there
-- are messages that come after all late ones;
-- then for each stream: its epoch, the first message's number, how the channel ends with the last
-- message ("-" if it does not), how its job went then, "1" to replace a stream of another epoch, the
-- count of texts, and the texts.
--
-- Late entries leave their list in the call that adds all of their messages, or else nothing is
-- added: so each of them is either in the list or in its stream, whoever owns then.
--
-- Returns for each stream the number of its last message, or -1 if it has another epoch.
--
-- Nothing is kept of a trial, which is a job of `recodex-monitor doctor`; see channels.trials.
local TRIAL_OPEN, TRIAL_ENDED = 150000, 10000
local owner = redis.call('HGET', KEYS[1], 'token')
if not owner then
  return redis.error_reply('LOST the engine has no fence')
end
if owner ~= ARGV[1] then
  return redis.error_reply('FENCED another node owns')
end
if ARGV[9] == '1' and redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  return redis.error_reply('LATE other messages come before these')
end
local clock = redis.call('TIME')
local now = clock[1] .. string.format('%03d', math.floor(clock[2] / 1000))

local function top_of(key)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not last then
    return 0, nil
  end
  local number, epoch = string.match(last[1], '^(%d+)-(%d+)$')
  return tonumber(number), epoch
end

local function append(key, epoch, first, ends, texts)
  local added = {}
  local top = top_of(key)
  if first <= top + 1 then
    for number = top + 1, first + #texts - 1 do
      local text = texts[number - first + 1]
      local id = string.format('%.0f', number) .. '-' .. epoch
      if ends ~= '-' and number == first + #texts - 1 then
        redis.call('XADD', key, id, 'm', text, 't', now, 'e', ends)
      else
        redis.call('XADD', key, id, 'm', text, 't', now)
      end
      added[#added + 1] = text
    end
  end
  if #added > 0 then
    local head = epoch .. ' ' .. string.format('%.0f', top + 1) .. ' ' .. ends .. ' ' .. now
    redis.call('PUBLISH', key, head .. '\n' .. table.concat(added, '\n'))
  end
  return top + #added
end

local function push(key, at)
  local epoch, first, ends = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local texts = {}
  for i = 1, tonumber(ARGV[at + 5]) do
    texts[i] = ARGV[at + 5 + i]
  end
  local _, present = top_of(key)
  if present and present ~= epoch then
    if ARGV[at + 4] ~= '1' then
      return -1, at + 6 + #texts
    end
    redis.call('DEL', key)
  end
  local top = append(key, epoch, first, ends, texts)
  local id = string.sub(key, tonumber(ARGV[7]) + 1)
  local is_trial = string.sub(id, 1, 7) == 'doctor_'
  local is_ended = ends ~= '-' and top >= first + #texts - 1
  if top > 0 then
    local open_for, ended_for = ARGV[2], ARGV[3]
    if is_trial then
      open_for, ended_for = TRIAL_OPEN, TRIAL_ENDED
    end
    redis.call('PEXPIRE', key, is_ended and ended_for or open_for)
  end
  if is_ended and not is_trial then
    local name = ARGV[4] .. id
    local how = {ends, ARGV[at + 3], now, string.format('%.0f', top), epoch}
    redis.call('SET', name, table.concat(how, ' '), 'EX', ARGV[5])
  end
  return top, at + 6 + #texts
end

local function look()
  local tops, fits, at = {}, true, 10
  for i = 4, #KEYS do
    local top, epoch = top_of(KEYS[i])
    if epoch and epoch ~= ARGV[at] then
      top = ARGV[at + 4] == '1' and 0 or -1
    end
    tops[#tops + 1] = top
    fits = fits and tonumber(ARGV[at + 1]) <= top + 1
    at = at + 6 + tonumber(ARGV[at + 5])
  end
  return fits, tops
end

local has_late = ARGV[6] ~= '0'
if has_late then
  local fits, tops = look()
  if not fits then
    return tops
  end
end
local tops = {}
local at = 10
for i = 4, #KEYS do
  tops[#tops + 1], at = push(KEYS[i], at)
end
-- The reply to an earlier call that did the same may have been lost.
if has_late and string.sub(redis.call('LINDEX', KEYS[2], 0) or '', 1, #ARGV[8]) == ARGV[8] then
  redis.call('LTRIM', KEYS[2], ARGV[6], -1)
end
return tops
