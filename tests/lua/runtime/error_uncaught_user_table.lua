-- expect-status: 1
-- expect-stderr: error: my message
-- expect-stderr: hint: my hint
-- expect-stderr: 6 | error{ message = "my message", hint = "my hint" }

error{ message = "my message", hint = "my hint" }
