"""What pages share: gate (runtime, sign_in), buttons (actions), tables, charts, words and numbers
(format)."""
