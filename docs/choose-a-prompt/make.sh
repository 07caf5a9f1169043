#!/bin/sh
# Makes docs/choose-a-prompt/report.png again: a run on the local model (some minutes on two cores),
# then a picture of its page by Chromium. The run is kept in the folder given, or in a new one.
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
evalharness run dataset.path=capitals.jsonl name=prompts results_dir="$out" \
  'sweep.system={plain: "@prompts/plain.txt", examples: "@prompts/examples.txt"}' \
  scoring=includes repeats=2 params.temperature=0.3 params.max_tokens=64 limits.concurrency=2
chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,900 \
  --screenshot=report.png "file://$out/prompts/report.html" 2>/dev/null
echo "run: $out/prompts, picture: docs/choose-a-prompt/report.png"
