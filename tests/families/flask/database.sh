# PostgreSQL for itself: what is left after kill -9, dumps, parallel queries, notifications, replication by a second server.
. /opt/server.sh
export PGDATA=/w/data PGHOST=/w PGUSER=postgres LC_ALL=C TZ=UTC HOME=/w PATH=/usr/lib/postgresql/15/bin:/usr/bin
if [ "$1" != below ]; then
    chown 105 /w
    exec setpriv --reuid 105 --regid 105 --clear-groups bash "$0" below
fi
db() { psql -qAt "$@"; }
begin() { pg_ctl -w -l log -o "-k /w -c listen_addresses=127.0.0.1 $1" start >out 2>&1 || cat log; }
initdb -A trust -U postgres --no-locale -k >log 2>&1 || cat log
begin '-c wal_level=replica'
pgbench -i -q -s 2 postgres >out 2>&1 || cat out

# Every transaction that a client was told of is there after the server was killed.
db -c 'create table kept (n integer)'
(for ((i = 0; i < 100000; i++)); do echo "insert into kept values ($i);"; done) >inserts
start writer psql -v ON_ERROR_STOP=1 -f inserts
start load pgbench -n -c 4 -T 20 postgres
sleep 2
kill -9 $(head -1 data/postmaster.pid)
wait $(cat writer.pid load.pid)
told=$(grep -c '^INSERT' writer.log)
soon eval '! pgrep -u 105 postgres'
begin
kept=$(db -c 'select count(*) from kept')
((told > 10 && kept >= told && kept <= told + 1)) && echo all kept || echo "$told told, $kept kept"
grep -c 'automatic recovery in progress' log
db -c 'select sum(delta) = (select sum(abalance) from pgbench_accounts) from pgbench_history'
# One process of it is killed: the others begin again.
start sleeper psql -c 'select pg_sleep(50)'
soon eval "db -c \"select 1 from pg_stat_activity where query like '%50%' and pid <> pg_backend_pid()\" | grep 1"
kill -9 $(db -c "select pid from pg_stat_activity where query like '%50%' and pid <> pg_backend_pid()")
wait $(cat sleeper.pid)
soon eval 'db -c "select 1"'
db -c 'select count(*) from pgbench_accounts'

pg_dump postgres | grep -v '^--' >dump.sql
createdb() { db -c "create database $1"; }
createdb copy
psql -q copy <dump.sql >out 2>&1
for d in postgres copy; do db $d -c 'select count(*), sum(abalance), sum(aid) from pgbench_accounts'; done | uniq | wc -l
pg_dump -Fd -j 2 -f dump postgres && createdb second && pg_restore -j 2 -d second dump && db second -c 'select count(*) from kept' | grep -c "^$kept$"
db -c 'set max_parallel_workers_per_gather = 2' -c 'set min_parallel_table_scan_size = 0' -c 'set parallel_setup_cost = 0' \
    -c 'set parallel_tuple_cost = 0' -c 'select count(*), count(distinct bid), max(aid) from pgbench_accounts' -c 'create index on pgbench_accounts (bid)'
{ echo 'listen news;'; sleep 1; echo 'select 1;'; } | db >heard &
sleep 0.5
db -c "notify news, 'hello'"
wait $!
grep -o 'news.*"hello"' heard
db -c "copy (select generate_series(1, 100000)) to program 'wc -l >/w/lines'" && cat lines
db -c "set statement_timeout = 200; select pg_sleep(20)" 2>&1
db -c "set lock_timeout = 200; begin; lock table kept; select 1" -c commit

pg_basebackup -D standby -h 127.0.0.1 -R -X stream -c fast
chmod 700 standby
pg_ctl -w -D standby -l log2 -o '-k /w -p 5433' start >out 2>&1 || cat log2
db -c "insert into kept values (-1)"
soon eval 'db -p 5433 -c "select n from kept where n = -1" | grep -e -1'
db -p 5433 -c 'insert into kept values (1)' 2>&1
pg_ctl -D standby -w promote >out
db -p 5433 -c 'insert into kept values (-2)' -c 'select count(*) from kept where n < 0'
pg_ctl -D standby -m immediate stop
pgbench -n -c 4 -j 2 -t 100 -S postgres 2>&1 | grep -E 'actually processed|failed'
pg_ctl -m smart stop
pg_checksums -c | grep Bad
