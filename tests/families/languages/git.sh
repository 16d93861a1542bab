# A repository's life: history, merges, packs, transport. Dates and names are fixed, so every object has the same name.
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1 HOME=$PWD GIT_PAGER=cat
git config --global init.defaultBranch main
git config --global advice.detachedHead false
git config --global protocol.file.allow always

history() {
    git init -q repo && cd repo
    for i in $(seq 1 30); do
        for j in 1 2 3; do seq $i $((i * 40 / j)) >file$j; done
        mkdir -p dir$((i % 4)) && echo "$i" >>dir$((i % 4))/log
        git add -A && git commit -q -m "commit $i"
        export GIT_AUTHOR_DATE="$((1700000000 + i * 60)) +0000" GIT_COMMITTER_DATE="$((1700000000 + i * 60)) +0000"
    done
    git tag -a v1 -m "first"
}

case $1 in
history)
    history
    git log --oneline | tail -3
    git log --stat -n 2
    git show HEAD~3 -- file3 | head -40
    git diff --shortstat HEAD~20
    git diff --word-diff HEAD~1 -- file1 | tail -5
    git blame -s file2 | sed -n '1p;300p'
    git grep -c -E '[7]' -- 'dir*' # a fixed string goes to PCRE2's just-in-time compiler, and git dies without
    git ls-tree -r HEAD
    git describe; git rev-parse HEAD; git status --short
    ;;
branches)
    history
    git checkout -q -b side HEAD~5
    sed -i '5s/.*/side/' file1 && git commit -q -am side
    echo new >new && git add new && git commit -q -m new
    git checkout -q main
    sed -i '500s/.*/main/' file1 && git commit -q -am edit
    git merge -m merge side; git status --short
    git checkout --theirs file1 2>&1; git add -A; git commit -q -m merged
    git log --graph --oneline -n 6
    git checkout -q -b topic HEAD~1 && echo topic >topic && git add topic && git commit -q -m topic
    git rebase main; git cherry-pick side 2>&1 | head -3; git cherry-pick --abort
    echo dirty >>topic && git stash && git stash list && git stash pop
    git checkout -q -f main
    git bisect start HEAD HEAD~20 && git bisect run sh -c 'test $(wc -l <file2) -lt 500' | tail -3; git bisect reset
    git reflog | tail -2; git branch -v; git revert --no-edit HEAD~3 2>&1 | head -3
    ;;
packs)
    history
    git count-objects
    git gc -q && git count-objects -v | grep -v size
    git repack -adfq --threads=3 && git fsck --full
    git repack -adfq --depth=50 --window=50 --threads=1
    git verify-pack -v .git/objects/pack/*.idx | tail -4
    git fsck --full --strict
    git multi-pack-index write && git commit-graph write --reachable && git commit-graph verify
    cat .git/objects/pack/*.pack | sha256sum
    git archive --format=tar HEAD | sha256sum
    git bundle create -q ../bundle --all && git bundle verify -q ../bundle && git clone -q ../bundle ../from-bundle
    git -C ../from-bundle log --oneline -n 1
    git init -q ../bare && cd ../bare && git index-pack --stdin --threads=2 <../repo/.git/objects/pack/*.pack | wc -c && git fsck | wc -l
    ;;
transport)
    history
    cd ..
    git clone -q repo hard && git clone -q --no-local repo sent && git clone -q --bare --depth 3 "file://$PWD/repo" shallow
    for i in hard sent shallow; do git -C $i log --oneline | wc -l; git -C $i fsck; done
    git clone -q "file://$PWD/repo" net && cd net
    git checkout -q -b fresh && echo pushed >pushed && git add pushed && git commit -q -m pushed
    git push -q origin fresh; git -C ../repo log --oneline -n 2 fresh
    git fetch -q origin && git branch -r
    git format-patch -q -1 && git -C ../sent am <0001-pushed.patch && git -C ../sent log -n 1 --format='%an %s %H'
    git worktree add -q ../tree v1 && git worktree list | wc -l && git -C ../tree log --oneline -n 1
    git clone "file://$PWD/none" gone; echo $?
    ;;
esac
