<?php // What a request may ask for: ?do=...
session_save_path('/w/temp');
switch ($_GET['do'] ?? '') {
case 'hello':
    echo "hello ", PHP_SAPI, " ", posix_getpwuid(posix_geteuid())['name'], "\n";
    break;
case 'post':
    ksort($_POST);
    echo json_encode($_POST), " ", strlen(file_get_contents('php://input')), "\n";
    break;
case 'upload':
    $f = $_FILES['file'];
    echo $f['name'], " ", $f['size'], " ", hash_file('sha256', $f['tmp_name']), "\n";
    break;
case 'session':
    session_start();
    $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
    echo $_SESSION['count'], "\n";
    break;
case 'database':
    $db = new PDO('sqlite:/w/temp/page.db');
    $db->exec('pragma busy_timeout = 20000');
    $db->exec('create table if not exists t (n integer primary key, s text)');
    $db->prepare('insert into t (s) values (?)')->execute([str_repeat('x', 100)]);
    echo "written\n";
    break;
case 'count':
    echo (new PDO('sqlite:/w/temp/page.db'))->query('select count(*) || " " || sum(length(s)) from t')->fetchColumn(), "\n";
    break;
case 'work':
    for ($i = $s = 0; $i < 200000; $i++) {
        $s = ($s * 31 + $i) % 1000003;
    }
    echo $s, "\n";
    break;
case 'pid':
    echo getmypid(), "\n";
    break;
case 'sleep':
    sleep(1);
    echo getmypid(), "\n";
    break;
case 'long':
    set_time_limit(1);
    while (true);
case 'fatal':
    nothing();
case 'memory':
    $a = [];
    while (true) {
        $a[] = str_repeat('x', 100000);
    }
case 'die':
    posix_kill(getmypid(), 9);
}
