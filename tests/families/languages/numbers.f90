! Fortran's run-time library: formatted output and input, wide reals (libquadmath), arrays, complex numbers, files,
! C interoperation, floating-point exceptions. "numbers KIND" dies of KIND.
module shapes
  use iso_c_binding
  implicit none
  type, abstract :: shape
  contains
    procedure(area_of), deferred :: area
  end type
  abstract interface
    real(8) function area_of(self)
      import shape
      class(shape), intent(in) :: self
    end function
    integer(c_int) function comparison(a, b) bind(c)
      import c_int, c_ptr
      type(c_ptr), value :: a, b
    end function
  end interface
  type, extends(shape) :: square
    real(8) :: side
  contains
    procedure :: area => square_area
  end type
  type, extends(shape) :: circle
    real(8) :: radius
  contains
    procedure :: area => circle_area
  end type
  interface
    subroutine qsort(base, count, size, compare) bind(c)
      import c_ptr, c_size_t, c_funptr
      type(c_ptr), value :: base
      integer(c_size_t), value :: count, size
      type(c_funptr), value :: compare
    end subroutine
  end interface
contains
  real(8) function square_area(self)
    class(square), intent(in) :: self
    square_area = self%side**2
  end function
  real(8) function circle_area(self)
    class(circle), intent(in) :: self
    circle_area = 3 * self%radius**2
  end function
  integer(c_int) function compare(a, b) bind(c)
    type(c_ptr), value :: a, b
    integer(c_int), pointer :: x, y
    call c_f_pointer(a, x)
    call c_f_pointer(b, y)
    compare = x - y
  end function
end module

program numbers
  use shapes
  use ieee_arithmetic
  use ieee_exceptions
  implicit none
  character(20) :: kind
  call get_command_argument(1, kind)
  select case (kind)
  case ('stop')
    stop 7
  case ('error')
    error stop 'the end'
  case ('bounds')
    call bounds(11)
  case ('zero')
    call trap(0d0)
  case ('nan')
    call trap(-1d0)
  case ('allocate')
    call allocate_twice()
  case ('format')
    call bad_format()
  case default
    call output()
    call arrays()
    call exceptions()
    call files()
    call interoperation()
  end select
contains

  subroutine output()
    real(8) :: x = 1d0 / 3
    real(16) :: q = 2
    complex(8) :: z = (1d0, -2d0)
    integer(8) :: i = huge(1_8)
    print *, x, real(x, 4), i, .true., 'text'
    print *, sqrt(q), exp(q), sin(q) / 3, q**100
    print *, z * z, abs(z), exp(z * (0d0, 1d0)), conjg(z) / z
    write (*, '(f10.4, e15.7, es12.3, en12.3, g14.6, i8.5, z10, b12, a5, l3)') x, x, 1d5, 1d-5, 1d10, 42, 255, 5, 'abcdefg', .false.
    write (*, '(3(f6.2, ","), /, 2x, "[", a, "]", tr3, i0)') 1.0, 2.5, -3.25, 'x', 7
    write (*, '(ru, f8.2, rd, f8.2, rz, f8.2, rn, f8.2)') 1.255d0, 1.255d0, -1.255d0, 2.5d-1
    print '(4es25.16)', tiny(x), huge(x), epsilon(x), nearest(x, 1.0)
    print *, selected_real_kind(18), digits(q), gamma(4.5d0), erf(0.5d0)
    print '(5f12.8)', bessel_j0(1.5d0), log_gamma(0.3d0), hypot(3d0, 4d0), atan2(1d0, -1d0), 10d0**0.3d0
  end subroutine

  subroutine arrays()
    real(8) :: a(50, 50), b(50, 50), c(50, 50)
    integer :: i, j, v(10) = [(mod(i * 7, 11), i = 1, 10)]
    real(4), allocatable :: w(:)
    character(:), allocatable :: s
    forall (i = 1:50, j = 1:50)
      a(i, j) = i + j
      b(i, j) = i - j
    end forall
    c = matmul(a, transpose(b))
    print *, sum(c), maxval(c), minloc(c), dot_product(a(:, 1), b(1, :))
    print *, pack(v, v > 5), cshift(v, 3), count(mod(v, 2) == 0), any(v == 10), reshape(v(1:6), [2, 3])
    w = [(sqrt(real(i)), i = 1, 1000)]
    print *, sum(w), norm2(w), size(w(::7)), product(w(1:10))
    s = repeat('ab', 5) // trim('  x  ')
    print *, s, len(s), index(s, 'ba', back=.true.), scan(s, 'x'), adjustl('   left') // '|'
    print *, ishft(255, 4), ieor(12, 10), popcnt(255), leadz(1), bit_size(1_8), mvbits_of(3)
  end subroutine

  integer function mvbits_of(x)
    integer, intent(in) :: x
    mvbits_of = 0
    call mvbits(x, 0, 2, mvbits_of, 5)
  end function

  subroutine exceptions()
    logical :: raised(5)
    real(8), volatile :: zero = 0, one = 1, x
    call ieee_set_flag(ieee_all, .false.)
    x = one / zero
    print *, ieee_is_finite(x), x
    x = zero / zero
    print *, ieee_is_nan(x)
    x = huge(x) * (one + one)
    x = x * 0.5d0 * tiny(x) * (one / huge(x))
    call ieee_get_flag(ieee_all, raised)
    print *, raised
    call ieee_set_rounding_mode(ieee_up)
    x = one / 3
    call ieee_set_rounding_mode(ieee_down)
    print *, x - one / 3
    call ieee_set_rounding_mode(ieee_nearest)
    call ieee_set_flag(ieee_all, .false.)
  end subroutine

  subroutine files()
    integer :: i, status, n
    real(8) :: x, y
    character(80) :: message, line
    open (10, status='scratch', form='unformatted')
    do i = 1, 1000
      write (10) i, sqrt(real(i, 8))
    end do
    rewind (10)
    y = 0
    do i = 1, 1000
      read (10) n, x
      y = y + n * x
    end do
    print *, y
    read (10, iostat=status) n
    print *, status < 0
    close (10)
    open (11, status='scratch')
    write (11, '(a)') '  3 4.5e2', "'quoted text' 7", '&group a=5, b=2*1.5 /'
    rewind (11)
    read (11, *) n, x
    print *, n, x
    read (11, *) line, n
    print *, trim(line), n
    call read_group(11)
    close (11)
    open (12, file='/nonexistent/file', status='old', iostat=status, iomsg=message)
    print *, status, trim(message)
    read (line, *, iostat=status, iomsg=message) n
    print *, status, trim(message)
    call execute_command_line('echo from the shell; exit 3', exitstat=status)
    print *, status
  end subroutine

  subroutine read_group(unit)
    integer, intent(in) :: unit
    integer :: a = 0
    real :: b(3) = 0
    namelist /group/ a, b
    read (unit, group)
    write (*, group)
  end subroutine

  subroutine interoperation()
    integer(c_int), target :: v(8) = [5, 2, 8, 1, 9, 3, 7, 4]
    class(shape), allocatable :: s
    integer :: i
    call qsort(c_loc(v), 8_c_size_t, 4_c_size_t, c_funloc(compare))
    print *, v
    do i = 1, 2
      if (allocated(s)) deallocate (s)
      if (i == 1) then
        allocate (s, source=square(2d0))
      else
        allocate (s, source=circle(2d0))
      end if
      print *, s%area(), fibonacci(20)
    end do
  end subroutine

  recursive integer function fibonacci(n) result(f)
    integer, intent(in) :: n
    f = n
    if (n > 1) f = fibonacci(n - 1) + fibonacci(n - 2)
  end function

  subroutine bounds(n)
    integer, intent(in) :: n
    integer :: v(10)
    v = 1
    print *, v(n)
  end subroutine

  subroutine trap(x)
    real(8), intent(in) :: x
    real(8), volatile :: y
    call ieee_set_halting_mode(ieee_divide_by_zero, .true.)
    call ieee_set_halting_mode(ieee_invalid, .true.)
    print *, 'before'
    flush (6)
    y = x
    if (x < 0) then
      print *, sqrt(y)
    else
      print *, 1 / y
    end if
  end subroutine

  subroutine allocate_twice()
    integer, allocatable :: v(:)
    allocate (v(10))
    allocate (v(20))
  end subroutine

  subroutine bad_format()
    character(10) :: f = '(q7)'
    write (*, f) 1
  end subroutine
end program
