/* Thread-local data of a library that is loaded when threads exist. */
static _Thread_local int count = 5;
static _Thread_local char room[20000];

int
plugin_count(int by)
{
    room[count % 20000] = 1;
    return count += by + room[count % 19999 + 1];
}
