-- Questions for wrk: names and, one in ten, IDs of the directory that `names_bench fill` made
-- (names_bench.rs has the same rule). COUNT names; every thread has its own order.
local count = tonumber(os.getenv("NAMES_COUNT"))
local syllables = { [0] = "ba", "be", "bo", "bu", "ka", "ke", "ko", "ku",
                    "sa", "se", "so", "su", "ta", "te", "to", "tu" }
local rest = string.rep("5a", 17)
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("seed", threads)
end

-- Made before the clock runs: what is measured is the server, not how these are written.
local questions, next_question = {}, 0
local KEPT = 262144 -- more than a thread asks in a usual run

function init()
    math.randomseed(seed)
    for number = 0, KEPT - 1 do
        questions[number] = question()
    end
end

function question()
    local spread = (math.random(0, count - 1) * 5882353) % 16777216
    if math.random(10) == 1 then
        return wrk.format("GET", string.format("/addr/%06x%s", spread, rest))
    end
    local name = {}
    for digit = 6, 1, -1 do
        name[digit] = syllables[spread % 16]
        spread = math.floor(spread / 16)
    end
    return wrk.format("GET", "/name/" .. table.concat(name))
end

function request()
    next_question = (next_question + 1) % KEPT
    return questions[next_question]
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        "RESULT %d %d %d %f %f %f\n", summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
