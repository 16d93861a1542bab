// The standard library: formats, hashes (assembly), big numbers, compression, files, processes, signals.
package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math"
	"math/big"
	"math/bits"
	"math/rand"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"text/template"
	"unicode/utf8"
)

func hashes() {
	data := make([]byte, 100_003)
	rand.New(rand.NewSource(1)).Read(data)
	fmt.Printf("%x\n%x\n%x\n%x\n", md5.Sum(data), sha1.Sum(data), sha256.Sum256(data), sha512.Sum512(data))
	fmt.Printf("%x %x %x\n", crc32.ChecksumIEEE(data), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)),
		crc64.Checksum(data, crc64.MakeTable(crc64.ECMA)))
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write(data)
	fmt.Printf("%x\n", mac.Sum(nil))
	for _, size := range []int{16, 24, 32} {
		block, err := aes.NewCipher(data[:size])
		check(err)
		gcm, err := cipher.NewGCM(block)
		check(err)
		sealed := gcm.Seal(nil, data[:12], data[:5000], data[:20])
		plain, err := gcm.Open(nil, data[:12], sealed, data[:20])
		check(err)
		stream := make([]byte, 1000)
		cipher.NewCTR(block, data[:16]).XORKeyStream(stream, data[:1000])
		fmt.Printf("%x %v %x\n", sealed[len(sealed)-16:], bytes.Equal(plain, data[:5000]), stream[990:])
	}
	private := ed25519.NewKeyFromSeed(data[:32])
	fmt.Printf("%x %v\n", ed25519.Sign(private, data)[:16],
		ed25519.Verify(private.Public().(ed25519.PublicKey), data, ed25519.Sign(private, data)))
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		x, y := curve.ScalarBaseMult(data[:32])
		key := ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: curve, X: x, Y: y}, D: new(big.Int).SetBytes(data[:32])}
		sum := sha256.Sum256(data)
		sig, err := ecdsa.SignASN1(rand.New(rand.NewSource(2)), &key, sum[:])
		check(err)
		fmt.Println(x, ecdsa.VerifyASN1(&key.PublicKey, sum[:], sig))
	}
}

func numbers() {
	n := new(big.Int).Exp(big.NewInt(3), big.NewInt(5000), nil)
	m := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 521), big.NewInt(1))
	fmt.Println(new(big.Int).Mod(n, m), m.ProbablyPrime(5), new(big.Int).Sqrt(n).BitLen())
	f, _ := new(big.Float).SetPrec(200).SetString("2")
	fmt.Println(f.Sqrt(f).Text('g', 50), big.NewRat(6, -4))
	for _, x := range []float64{0, math.Copysign(0, -1), 1. / 3, 1e21, 5e-324, math.MaxFloat64, math.NaN(), math.Inf(-1)} {
		fmt.Print(x, " ", int64(x*10), " ", math.Float64bits(math.Sqrt(x)), " ", math.Floor(x), " ", math.RoundToEven(x), " ")
	}
	fmt.Printf("\n%.10f %.10f %.10f %.10f\n", math.Sin(1e6), math.Exp(1.5), math.Log(10), math.Gamma(4.5))
	hi, lo := bits.Mul64(math.MaxUint64, 12345)
	q, r := bits.Div64(3, 5, 17)
	fmt.Println(hi, lo, q, r, bits.LeadingZeros32(99), bits.OnesCount64(math.MaxUint32), bits.Reverse16(77))
	fmt.Printf("%08.3f|%+d|%x|%q|%v|%T|%8.2e|%-5t|%U\n", math.Pi, 5, "hex", 'x', []string{"a"}, map[int]bool{}, 12345.678, true, 'ü')
	fmt.Println(complex(1, 2)*complex(3, -4), float32(0.1), uint8(200)+opaque(uint8(100)))
}

type record struct {
	Name  string            `json:"name"`
	Tags  []string          `json:"tags,omitempty"`
	Value float64           `json:"value"`
	Inner map[string]record `json:"inner,omitempty"`
}

func formats() {
	r := record{"root", []string{"ä", "<b>"}, 1.5, map[string]record{"k": {Name: "kid", Value: -1e-9}}}
	text, err := json.Marshal(r)
	check(err)
	var back record
	check(json.Unmarshal(text, &back))
	fmt.Println(string(text), reflect.DeepEqual(r, back))
	fmt.Println(json.Unmarshal([]byte(`{"name": 1}`), &back), json.Unmarshal([]byte(`{`), &back))
	var buffer bytes.Buffer
	check(gob.NewEncoder(&buffer).Encode(r))
	var other record
	check(gob.NewDecoder(&buffer).Decode(&other))
	fmt.Println(reflect.DeepEqual(r, other))
	t := template.Must(template.New("").Parse("{{range $i, $e := .}}{{$i}}={{$e | printf \"%03d\"}} {{end}}\n"))
	check(t.Execute(os.Stdout, []int{3, 4, 5}))
	re := regexp.MustCompile(`(\w+)@(\w+)\.com`)
	fmt.Println(re.FindAllStringSubmatch("bob@example.com, eve@test.com", -1), re.ReplaceAllString("a@b.com", "$2-$1"))
	text = []byte(strings.Repeat("compress me, please; ", 5000))
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, flate.BestCompression)
	w.Write(text)
	check(w.Close())
	size := packed.Len()
	reader, err := gzip.NewReader(&packed)
	check(err)
	unpacked, err := io.ReadAll(reader)
	check(err)
	fmt.Println(size, bytes.Equal(unpacked, text))
	words := strings.Fields("pack my box with five dozen liquor jugs")
	sort.Strings(words)
	fmt.Println(words, base64.StdEncoding.EncodeToString([]byte("any carnal pleas")), hex.Dump([]byte("dump")))
	fmt.Println(utf8.RuneCountInString("日本語"), strings.ToUpper("straße"), strings.Map(func(r rune) rune { return r + 1 }, "HAL"))
}

func files() {
	dir, err := os.MkdirTemp("", "go")
	check(err)
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "file")
	f, err := os.Create(name)
	check(err)
	w := bufio.NewWriter(f)
	for i := 0; i < 10000; i++ {
		fmt.Fprintln(w, i, i*i)
	}
	check(w.Flush())
	_, err = f.WriteAt([]byte("patched"), 100)
	check(err)
	check(f.Close())
	data, err := os.ReadFile(name)
	check(err)
	fmt.Printf("%d %x %q\n", len(data), sha1.Sum(data), data[95:110])
	check(os.Symlink("file", filepath.Join(dir, "link")))
	check(os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o750))
	check(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		fmt.Print(rel, " ", d.Type(), "; ")
		return err
	}))
	_, err = os.Stat(filepath.Join(dir, "none"))
	fmt.Println(os.IsNotExist(err), strings.Replace(fmt.Sprint(err), dir, "DIR", 1))
	data, err = syscall.Mmap(int(must(os.Open(name)).Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
	check(err)
	fmt.Printf("%q\n", data[:8])
	check(syscall.Munmap(data))
}

func must[T any](x T, err error) T {
	check(err)
	return x
}

func processes() {
	out, err := exec.Command("/bin/sh", "-c", "echo out; echo err >&2; exit 7").Output()
	fmt.Printf("%q %v %q\n", out, err, err.(*exec.ExitError).Stderr)
	cmd := exec.Command("tr", "a-z", "A-Z")
	cmd.Stdin = strings.NewReader(strings.Repeat("text ", 50_000))
	out, err = cmd.CombinedOutput()
	fmt.Println(len(out), string(out[:10]), err)
	_, err = exec.LookPath("no-such-program")
	fmt.Println(err)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	check(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println(<-signals)
	sleep := exec.Command("sleep", "100")
	check(sleep.Start())
	check(sleep.Process.Signal(syscall.SIGTERM))
	fmt.Println(sleep.Wait())
	fmt.Println(os.Args[1:], filepath.Base(must(os.Executable())), must(os.Hostname()) != "")
}

func library() {
	hashes()
	numbers()
	formats()
	files()
	processes()
}
