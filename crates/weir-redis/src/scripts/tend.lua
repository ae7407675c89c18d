-- Says that a replica is there, keeps its calls under way, and tells what it admitted while it could not ask.
-- KEYS: epoch, replicas, then one for each thing told. ARGV: the replica, random digits for a new epoch, the epoch that it
-- knows (things are told under it alone), then for each thing: span in ms (0: a call under way), its age in ms or its call,
-- and the amount. Answers {epoch, replicas, rank, now, whether the things were taken}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  -- Who never knew one has just started: nothing was lost, so nobody has anything to tell first.
  epoch = (ARGV[3] == '' and '0' or string.format('%.0f', now)) .. '-' .. ARGV[2]
  redis.call('SET', KEYS[1], epoch)
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 10000)
local told = 0
if epoch == ARGV[3] then
  told = 1
  local slots = 120
  for i = 1, #KEYS - 2 do
    local key, span = KEYS[i + 2], tonumber(ARGV[i * 3 + 1])
    if span == 0 then
      redis.call('ZADD', key, now + 30000, ARGV[i * 3 + 2])
      redis.call('PEXPIRE', key, 60000)
    else
      local grain = span / slots
      local tick, current = math.floor((now - tonumber(ARGV[i * 3 + 2])) / grain), math.floor(now / grain)
      if tick + slots + 1 > current then
        local head = redis.call('HMGET', key, 'o', 'n')
        redis.call('HINCRBY', key, tick, ARGV[i * 3 + 3])
        redis.call('HINCRBY', key, 's', ARGV[i * 3 + 3])
        redis.call('HSET', key, 'o', math.min(tick, tonumber(head[1] or tick)), 'n', math.max(tick, tonumber(head[2] or tick)))
        redis.call('PEXPIRE', key, math.ceil(span + 2 * grain))
      end
    end
  end
end
return {epoch, redis.call('ZCARD', KEYS[2]), redis.call('ZRANK', KEYS[2], ARGV[1]), now, told}
