-- Corrects what a call took. KEYS: epoch, then one for each limit. ARGV: the epoch, the call, when it was admitted; then
-- for each limit: what was taken, what it came to, span in ms (0: calls under way).
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local slots = 120
for i = 1, #KEYS - 1 do
  local key, taken, truth, span = KEYS[i + 1], tonumber(ARGV[i * 3 + 1]), tonumber(ARGV[i * 3 + 2]), tonumber(ARGV[i * 3 + 3])
  if span == 0 then
    redis.call('ZREM', key, ARGV[2])
  else
    local grain = span / slots
    local tick = math.floor(tonumber(ARGV[3]) / grain)
    if redis.call('HEXISTS', key, tick) == 1 then
      redis.call('HINCRBY', key, tick, truth - taken)
      redis.call('HINCRBY', key, 's', truth - taken)
    elseif truth > taken then
      local time = redis.call('TIME')
      tick = math.floor((time[1] * 1000 + math.floor(time[2] / 1000)) / grain)
      redis.call('HINCRBY', key, tick, truth - taken)
      redis.call('HINCRBY', key, 's', truth - taken)
      redis.call('HSETNX', key, 'o', tick)
      redis.call('HSET', key, 'n', tick)
      redis.call('PEXPIRE', key, math.ceil(span + 2 * grain))
    end
  end
end
return 1
