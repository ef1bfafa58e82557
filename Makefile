# The same commands under the names that people expect.
.PHONY: setup demo check format lock
setup:
	scripts/setup dev
demo:
	scripts/demo
check:
	scripts/check
format: setup
	.venv/bin/ruff format src tests bench && .venv/bin/ruff check --fix src tests bench deploy
lock:
	scripts/lock
