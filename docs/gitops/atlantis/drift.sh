#!/usr/bin/env bash
# For cron on the server of Atlantis, which has no schedule of its own: compares the hosts with what
# was applied last. Opens an issue where they differ or it cannot be told, closes it when that is
# over. Needs a clone of the repository, gh and jq. The last argument is the project's workspace,
# which is the environment; "default" is none.
#
#     17 3 * * *  drift.sh /srv/infrastructure stacks/shop shop default
set -euo pipefail

clone=$1 stack=$2 project=$3 workspace=$4
export PROVISIONER_STATE=/var/lib/provisioner/$project
what=$stack label=drift-$project
environment=()
if [[ $workspace != default ]]; then
    environment=(--env "$workspace")
    what+=", $workspace"
    label+=-$workspace
fi

cd "$clone"
git pull --quiet --ff-only
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

code=0
provisioner drift "$stack" "${environment[@]}" >"$work/drift.txt" 2>"$work/errors.txt" || code=$?
cat "$work/drift.txt" "$work/errors.txt"

issue=$(gh issue list --label "$label" --state open --limit 1 --json number,body,comments |
    jq '.[0] // empty')
number=$(jq -r .number <<<"$issue")
if [[ $code == 0 ]]; then
    if [[ -n $number ]]; then
        echo "\`$what\` is again as it was applied last." >"$work/body.md"
        gh issue comment "$number" --body-file "$work/body.md"
        gh issue close "$number"
    fi
    exit 0
fi
digest=$(cat "$work/drift.txt" "$work/errors.txt" | sha256sum | cut -c -64)
marker="<!-- provisioner drift $digest -->"
{
    echo "$marker"
    if [[ $code == 2 ]]; then
        echo "\`$what\` is not as it was applied last. Apply again to put it right, or change the"
        echo "manifests:"
    else
        echo "Whether \`$what\` is as it was applied last cannot be told, or not for all of it"
        echo "(exit code $code). Put right what the errors name:"
    fi
    echo
    head -c 40000 "$work/drift.txt" | sed 's/^/    /'
    echo
    head -c 10000 "$work/errors.txt" | sed 's/^/    /'
} >"$work/body.md"
# What it said last, without what people wrote meanwhile.
last=$(jq -r '[.body, .comments[].body] | map(select(startswith("<!-- provisioner drift "))) | last // empty' \
    <<<"$issue")
if [[ -z $number ]]; then
    gh issue create --title "Drift in $what" --label "$label" --body-file "$work/body.md"
elif [[ $last != "$marker"* ]]; then
    gh issue comment "$number" --body-file "$work/body.md"
fi
exit "$code"
