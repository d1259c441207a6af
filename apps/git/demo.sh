# A repository's beginnings. Dates and names are given, so that the ids are the same everywhere.
set -e
export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1 HOME=/nowhere
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_PAGER=cat
dir=$(mktemp -d)
cd "$dir"
git init -q -b main
echo one > file; mkdir sub; echo two > sub/other
git add .
git commit -q -m 'First'
git checkout -q -b topic
echo more >> file
git commit -q -a -m 'Topic'
git checkout -q main
echo three > sub/third; git add sub; git commit -q -m 'Second'
git merge -q -m 'Merge' topic
git log --oneline --graph
git show --stat HEAD^ | cat
git status --short --branch
git tag -a -m 'A tag' v1 && git describe
git gc -q && git count-objects | cut -d, -f1
git clone -q . copy && git -C copy log -1 --format=%H
git diff HEAD~2 | cat
git fsck 2>&1
cd / && rm -rf "$dir"
