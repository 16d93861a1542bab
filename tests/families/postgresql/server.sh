# A cluster is made, a server started, used by several clients at once, and stopped.
export PGDATA=$PWD/data PGHOST=$PWD PGUSER=postgres LC_ALL=C TZ=UTC HOME=$PWD PATH=/usr/lib/postgresql/15/bin:/usr/bin
initdb -A trust -U postgres --no-locale >log 2>&1 || cat log
grep -E 'shared|default max' log
pg_ctl -w -l log -o "-k $PWD -c listen_addresses=" start >out 2>&1 || cat log
psql -qc 'create table t as select g, g * g as s from generate_series(1, 10000) g' -c 'select count(*), sum(s) from t'
pgbench -i -q postgres >out 2>&1 || cat out
pgbench -n -c 4 -j 2 -t 50 postgres 2>&1 | grep -E 'actually processed|failed'
psql -qc 'set max_parallel_workers_per_gather = 2' -c 'set min_parallel_table_scan_size = 0' -c 'set parallel_setup_cost = 0' \
    -c 'set parallel_tuple_cost = 0' -c 'explain (costs off) select count(*) from pgbench_accounts' -c 'select count(*), sum(abalance) <> 0 from pgbench_accounts'
psql -qc 'select sum(delta) = (select sum(abalance) from pgbench_accounts) as kept from pgbench_history'
ipcs -m | grep -cE ' postgres +600 +56 '
pg_ctl -m fast stop >out 2>&1 || cat out log
ipcs -m | grep -cE ' postgres +600 +56 '
