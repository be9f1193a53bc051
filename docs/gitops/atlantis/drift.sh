#!/usr/bin/env bash
# For cron on the server of Atlantis, which has no schedule of its own: compares the hosts with what
# was applied last, and opens an issue where they differ. Needs a clone of the repository and gh.
#
#     17 3 * * *  drift.sh /srv/infrastructure stacks/shop shop
set -euo pipefail

clone=$1 stack=$2 project=$3
export PROVISIONER_STATE=/var/lib/provisioner/$project

cd "$clone"
git pull --quiet --ff-only
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

code=0
provisioner drift "$stack" >"$work/drift.txt" || code=$?
cat "$work/drift.txt"
if [[ $code == 2 ]]; then
    {
        echo "\`$stack\` is not as it was applied last. Apply again to put it right, or change the"
        echo "manifests:"
        echo
        head -c 50000 "$work/drift.txt" | sed 's/^/    /'
    } >"$work/body.md"
    number=$(gh issue list --label "drift-$project" --state open --limit 1 --json number \
        --jq '.[0].number // empty')
    if [[ -n $number ]]; then
        gh issue comment "$number" --body-file "$work/body.md"
    else
        gh issue create --title "Drift in $stack" --label "drift-$project" --body-file "$work/body.md"
    fi
fi
exit "$code"
