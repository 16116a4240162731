-- The same file again and again: what a server can do that looks nothing up.
-- Asked by a function, as names.lua does, so that wrk has the same to do.
local question

function init()
    question = wrk.format("GET", "/answer")
end

function request()
    return question
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        "RESULT %d %d %d %f %f %f\n", summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
