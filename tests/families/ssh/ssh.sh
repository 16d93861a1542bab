# A server for remote shells and its clients. Keys are new each time, so nothing of them is printed.
. /opt/server.sh
export HOME=/root GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1

serve() {
    chmod 755 /w
    ssh-keygen -q -t ed25519 -N '' -f host
    mkdir -p -m 700 /root/.ssh /home/alice/.ssh
    ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
    cat /root/.ssh/id_ed25519.pub >/home/alice/.ssh/authorized_keys
    chown -R 1000:1000 /home/alice/.ssh
    cat >sshd_config <<'END'
Port 2222
ListenAddress 127.0.0.1
HostKey /w/host
PidFile /w/sshd.pid
Subsystem sftp /usr/lib/openssh/sftp-server
UsePAM no
PrintMotd no
PrintLastLog no
AcceptEnv WORD
MaxStartups 50
END
    cat >/root/.ssh/config <<'END'
Host box
    HostName 127.0.0.1
    Port 2222
    User alice
    UserKnownHostsFile /w/known
    SendEnv WORD
    LogLevel ERROR
END
    start log /usr/sbin/sshd -D -e -f /w/sshd_config
    up log 2222
    ssh-keyscan -p 2222 -t ed25519 127.0.0.1 2>/dev/null >known
    wc -l <known
}

finish() {
    stop log
    grep -E 'fatal|error:' log.log
    soon eval '[ $(pgrep -c sshd) = 0 ]'
}

history() {
    git config --global init.defaultBranch main
    git init -q repo && cd repo
    for i in $(seq 1 20); do
        for j in 1 2 3; do seq $i $((i * 40 / j)) >file$j; done
        git add -A && git commit -q -m "commit $i"
    done
    cd ..
}

exchange() { # URL: clones, pushes, fetches
    git clone -q "$1" copy && git -C copy log --oneline | tail -2
    (cd copy && echo new >new && git add new && git commit -q -m new && git push -q origin HEAD:main HEAD:refs/heads/side 2>&1 | grep -v '^remote: $')
    git clone -q --depth 2 "$1" shallow && git -C shallow log --oneline
    git -C shallow fetch -q --unshallow && git -C shallow log --oneline | wc -l
    git ls-remote "$1"
    git -C copy fsck
    head -c 5000000 /dev/urandom >copy/large && (cd copy && git add large && git commit -q -m large && git push -q origin HEAD:large)
    git clone -q -b large "$1" third && cmp third/large copy/large && echo same
    git clone -q "$1-none" none 2>/dev/null
    echo $?
}

say() { printf '%b' "$1" >&"${SSH[1]}"; } # to the shell of the coprocess
hear() {                              # TEXT: until it says that
    local text='' c
    while IFS= read -r -t 20 -N 1 -u "${SSH[0]}" c; do
        text+=$c
        [[ $text == *"$1"* ]] && echo "heard $1" && return
    done
    echo "not heard: $1, but $text"
}

case $1 in
keys)
    serve
    for t in ed25519 ecdsa rsa; do
        ssh-keygen -q -t $t -N '' -f key-$t
        cat key-$t.pub >>/home/alice/.ssh/authorized_keys
        ssh -o IdentitiesOnly=yes -i key-$t box echo $t
    done
    ssh-keygen -q -t ed25519 -N '' -f stranger
    ssh -o BatchMode=yes -o IdentitiesOnly=yes -i stranger box echo in 2>&1
    ssh -o BatchMode=yes -l nobody box true; echo $?
    eval "$(ssh-agent -s)" >/dev/null
    ssh-keygen -q -t ed25519 -N secret -f locked
    cat locked.pub >>/home/alice/.ssh/authorized_keys
    echo 'echo secret' >ask && chmod +x ask
    SSH_ASKPASS=/w/ask SSH_ASKPASS_REQUIRE=force ssh-add -q locked
    ssh -o IdentityFile=none -o IdentitiesOnly=no box echo by the agent
    ssh -A -o IdentityFile=none box 'ssh-add -l | wc -l; test -S "$SSH_AUTH_SOCK" && echo socket'
    ssh-add -q -D
    kill $SSH_AGENT_PID
    for c in aes128-ctr aes256-gcm@openssh.com chacha20-poly1305@openssh.com; do ssh -c $c box echo $c; done
    for k in curve25519-sha256 ecdh-sha2-nistp256 sntrup761x25519-sha512@openssh.com diffie-hellman-group14-sha256; do ssh -o KexAlgorithms=$k box echo $k; done
    ssh -C box 'seq 1000' | sha256sum
    finish
    ;;
commands)
    serve
    ssh box 'whoami; id; pwd; echo $0; tty'
    WORD=said ssh box 'echo $WORD $USER $HOME $LOGNAME'
    ssh box 'exit 42'; echo $?
    ssh box 'kill -9 $$'; echo $?
    ssh box 'echo out; echo err >&2' 2>err; cat err
    seq 200000 | ssh box 'sha256sum; echo done'
    ssh box 'seq 300000' | sha256sum
    head -c 20000000 /dev/zero | ssh box 'cat' | sha256sum
    for i in 1 2 3 4 5 6; do start many$i ssh box "sleep 0.3; echo $i"; done
    wait $(cat many?.pid)
    cat many?.log
    ssh -f box 'sleep 1; echo late' >late; soon grep -q late late
    ssh -o ControlMaster=yes -o ControlPath=/w/control -o ControlPersist=30 box echo master
    for i in 1 2 3; do ssh -o ControlPath=/w/control box "echo over $i"; done
    ssh -o ControlPath=/w/control -O exit box 2>/dev/null
    timeout 1 ssh box 'sleep 50'; echo $?
    soon eval '! pgrep sleep || kill $(pgrep sleep)'
    ssh box 'cat /root/.ssh/id_ed25519' 2>&1 | sed 's/cat: //'
    finish
    ;;
terminal)
    serve
    ssh -tt box 'test -t 0 && echo terminal; stty size; stty -a | grep -o " echo "; tty | sed s/[0-9]*$/N/' </dev/null
    coproc SSH { ssh -tt box 2>&1; }
    shell=$SSH_PID
    say 'PS1="<"">"\n'
    hear '<>'
    say 'echo sum $((6 * 7))\n'
    hear 'sum 42'
    say 'sleep 100\n'
    soon pgrep -u alice -f 'sleep 100'
    say '\003'
    soon eval '! pgrep -u alice -f "sleep 100"'
    hear '<>'
    say 'sleep 200\n'
    soon pgrep -u alice -f 'sleep 200'
    say '\032'
    hear Stopped
    hear '<>'
    say 'kill -9 %1\n'
    soon eval '! pgrep -u alice -f "sleep 200"'
    hear '<>'
    say 'true\nexit 7\n'
    wait $shell
    echo $?
    start gone ssh -tt box 'trap "echo hung up >/home/alice/hup; exit" HUP; echo >/home/alice/here; while :; do sleep 0.1; done'
    soon test -s /home/alice/here
    kill -9 $(cat gone.pid)
    soon test -s /home/alice/hup
    cat /home/alice/hup
    finish
    ;;
files)
    serve
    head -c 3000000 /dev/urandom >big
    mkdir -p tree/a/b && seq 100 >tree/a/b/f && chmod 750 tree/a && ln -s f tree/a/b/l && touch -d '2020-01-01 UTC' tree/a/b/f tree/a
    scp -q big box:big && scp -q box:big back && cmp big back && echo same
    scp -q -p -r tree box: && ssh box 'find tree | sort; stat -c "%a %Y" tree/a tree/a/b/f'
    scp -q -O box:big back2 && cmp big back2 && echo same by the old protocol
    cat >batch <<'END'
mkdir d
put big d/one
rename d/one d/two
ls -1 d
chmod 600 d/two
symlink two d/link
get d/two three
ln d/two d/hard
rm d/hard
-rm d/none
df
rmdir d
END
    sftp -q -b batch box 2>err | grep -vE '^ +[0-9]|^ +Size' ; grep -v remote err
    cmp big three && echo same
    printf 'reput big half\n' >batch
    ssh box 'head -c 1000000 big >half'
    sftp -q -b batch box >/dev/null && ssh box cat half | cmp - big && echo resumed
    finish
    ;;
forwarding)
    serve
    echo content >page
    start far ssh -N -L 3000:127.0.0.1:2222 -R 3001:127.0.0.1:2222 -D 3002 -L /w/socket:127.0.0.1:2222 box
    soon listens 3000
    soon listens 3001
    soon listens 3002
    for p in 3000 3001; do ssh -p $p -o HostKeyAlias=x -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null box 'echo through'; done
    curl -s --socks5-hostname 127.0.0.1:3002 --max-time 1 --http0.9 telnet://127.0.0.1:2222 </dev/null | head -c 8; echo
    curl -s --unix-socket /w/socket --max-time 1 --http0.9 x/ | head -c 8; echo
    ssh -J box -p 2222 -o UserKnownHostsFile=/w/known alice@127.0.0.1 'echo jumped'
    ssh -W 127.0.0.1:2222 box </dev/null | head -c 8; echo
    stop far
    finish
    ;;
git-ssh)
    serve
    history
    git clone -q --bare repo /home/alice/bare.git && chown -R 1000:1000 /home/alice/bare.git
    exchange box:bare.git
    ssh box 'git -C bare.git fsck; git -C bare.git log --oneline | head -1'
    finish
    ;;
git-http)
    history
    git clone -q --bare repo web.git
    git -C web.git config http.receivepack true
    chown -R 33:33 web.git
    chmod 755 /w
    mkdir temp && chown 33:33 temp
    cp /opt/nginx.conf .
    cat >settings.conf <<'END'
client_max_body_size 0;
server { listen 8080; location / { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
    fastcgi_param GIT_PROJECT_ROOT /w; fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO $uri; fastcgi_param HOME /w;
    fastcgi_param GIT_CONFIG_COUNT 1; fastcgi_param GIT_CONFIG_KEY_0 safe.directory; fastcgi_param GIT_CONFIG_VALUE_0 *; fastcgi_pass unix:/w/cgi.sock; } }
END
    start cgi fcgiwrap -c 3 -s unix:/w/cgi.sock
    soon test -S cgi.sock
    chmod 666 cgi.sock
    nginx -p "$PWD" -c nginx.conf -e error.log || cat error.log
    soon listens 8080
    transport=http at=127.0.0.1:8080/web.git
    exchange $transport://$at
    curl -s $at/HEAD
    git -c http.version=HTTP/1.1 clone -q $transport://$at last && git -C last log --oneline | head -1
    stopped nginx.pid QUIT
    stop cgi
    ;;
esac
