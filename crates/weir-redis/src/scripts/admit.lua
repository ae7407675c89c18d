-- Takes what a call asks of all its limits, or nothing of any.
-- KEYS: epoch, then one for each limit.
-- ARGV: the epoch that the caller knows, until when the answer is wanted (Redis' time in ms, 0: always), how young an
-- epoch may not be, the call; then for each limit: limit, amount, span in ms (0: calls under way).
-- Answers {'late' | 'lost'}, or {'ok' | 'no', now, index refused, wait in ms or -1, then remaining and reset of each}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(ARGV[2]) > 0 and now > tonumber(ARGV[2]) then return {'late'} end
local epoch = redis.call('GET', KEYS[1])
if not epoch or epoch ~= ARGV[1] then return {'lost'} end
-- While an epoch is young, not all replicas have told what they had admitted before.
if now < tonumber(string.match(epoch, '%d+')) + tonumber(ARGV[3]) then return {'young'} end
local slots, refused, wait, seen = 120, 0, -2, {}
for i = 1, #KEYS - 1 do
  local key, limit, amount, span = KEYS[i + 1], tonumber(ARGV[i * 3 + 2]), tonumber(ARGV[i * 3 + 3]), tonumber(ARGV[i * 3 + 4])
  local own
  if span == 0 then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    own = {sum = redis.call('ZCARD', key)}
    if own.sum + amount > limit then
      if wait < 0 then refused, wait = i, -1 end
    end
  else
    local grain = span / slots
    local tick = math.floor(now / grain)
    local head = redis.call('HMGET', key, 's', 'o', 'n')
    own = {sum = tonumber(head[1] or 0), oldest = tonumber(head[2] or tick), newest = tonumber(head[3] or tick), tick = tick}
    local before = own.oldest
    while own.oldest + slots + 1 <= tick and own.oldest <= own.newest do
      local gone = redis.call('HGET', key, own.oldest)
      if gone then
        own.sum = own.sum - gone
        redis.call('HDEL', key, own.oldest)
      end
      own.oldest = own.oldest + 1
    end
    if own.oldest ~= before then redis.call('HSET', key, 's', own.sum, 'o', own.oldest) end
    local excess = own.sum + amount - limit
    if excess > 0 then
      local at = own.oldest
      while excess > 0 and at <= own.newest do
        excess = excess - (redis.call('HGET', key, at) or 0)
        at = at + 1
      end
      local until_free = (at + slots) * grain - now
      if until_free > wait then refused, wait = i, until_free end
    end
  end
  seen[i] = own
end
local out = {refused == 0 and 'ok' or 'no', now, refused, math.ceil(wait)}
for i = 1, #KEYS - 1 do
  local key, limit, amount, span, own = KEYS[i + 1], tonumber(ARGV[i * 3 + 2]), tonumber(ARGV[i * 3 + 3]), tonumber(ARGV[i * 3 + 4]), seen[i]
  if refused == 0 then
    own.sum = own.sum + amount
    if span == 0 then
      redis.call('ZADD', key, now + 30000, ARGV[4])
      redis.call('PEXPIRE', key, 60000)
    else
      redis.call('HINCRBY', key, own.tick, amount)
      own.newest = own.tick
      redis.call('HSET', key, 's', own.sum, 'o', own.oldest, 'n', own.newest)
      redis.call('PEXPIRE', key, math.ceil(span + 2 * span / slots))
    end
  end
  out[#out + 1] = math.max(0, limit - own.sum)
  out[#out + 1] = own.sum == 0 and 0 or own.newest and math.max(0, math.ceil((own.newest + slots + 1) * span / slots - now)) or 0
end
return out
