--  Exceptions of GNAT: raised by checks, by the processor (compiled without checks, -gnatp) and by stack overflow, in
--  the environment task and in others; tasks, rendezvous, protected objects, controlled types.
with Ada.Calendar;          use Ada.Calendar;
with Ada.Containers.Ordered_Maps;
with Ada.Exceptions;        use Ada.Exceptions;
with Ada.Finalization;
with Ada.Numerics.Long_Elementary_Functions;
with Ada.Strings.Unbounded; use Ada.Strings.Unbounded;
with Ada.Text_IO;           use Ada.Text_IO;

procedure Faults is

   package Maps is new Ada.Containers.Ordered_Maps (Integer, Unbounded_String);
   package Real_IO is new Float_IO (Long_Float);

   type Node;
   type Link is access Node;
   type Node is record
      Value : Integer;
      Next  : Link;
   end record;

   type Noisy is new Ada.Finalization.Limited_Controlled with record
      Name : Character;
   end record;
   overriding procedure Finalize (Object : in out Noisy);
   overriding procedure Finalize (Object : in out Noisy) is
   begin
      Put_Line ("finalize " & Object.Name);
   end Finalize;

   function Opaque (X : Integer) return Integer;
   pragma No_Inline (Opaque);
   function Opaque (X : Integer) return Integer is
      Y : Integer := X;
      pragma Volatile (Y);
   begin
      return Y;
   end Opaque;

   function No_Node return Link;
   pragma No_Inline (No_Node);
   function No_Node return Link is
      L : Link := null;
      pragma Volatile (L);
   begin
      return L;
   end No_Node;

   function Overflow (N : Integer) return Integer;
   pragma No_Inline (Overflow);
   function Overflow (N : Integer) return Integer is
      A : array (1 .. 100) of Integer := (others => N);
      pragma Volatile (A);
   begin
      return Overflow (N + 1) + A (A (1) mod 100 + 1);
   end Overflow;

   procedure Try (Kind : Integer) is
      A : array (1 .. 3) of Integer := (1, 2, 3);
      pragma Volatile (A);
      Guard : Noisy;
   begin
      Guard.Name := Character'Val (Character'Pos ('a') + Kind);
      case Kind is
         when 0 => Put_Line (Integer'Image (A (Opaque (2))));
         when 1 => Put_Line (Integer'Image (No_Node.Value));
         when 2 => No_Node.Next := null;
         when 3 => Put_Line (Integer'Image (Opaque (10) / Opaque (0)));
         when 4 => Put_Line (Integer'Image (Opaque (1) mod Opaque (0)));
         when 5 => raise Program_Error with "raised";
         when 6 => Put_Line (Integer'Image (Integer'Value ("12x")));
         when 7 => Put_Line (Integer'Image (Overflow (Opaque (0))));
         when 8 =>
            declare
               F : File_Type;
            begin
               Open (F, In_File, "/nonexistent");
            end;
         when 9 =>
            begin
               Put_Line (Integer'Image (No_Node.Value));
            exception
               when E : others =>
                  Put_Line ("again " & Exception_Name (E));
                  raise;
            end;
         when others => raise Constraint_Error;
      end case;
   exception
      when E : Constraint_Error => Put_Line (Integer'Image (Kind) & " constraint " & Exception_Name (E));
      when E : Storage_Error => Put_Line (Integer'Image (Kind) & " storage " & Exception_Message (E));
      when E : others => Put_Line (Integer'Image (Kind) & " other " & Exception_Information (E));
   end Try;

   protected Counter is
      procedure Add (N : Integer);
      entry Wait_For (N : Integer);
      function Value return Integer;
   private
      entry Parked (N : Integer);
      Total : Integer := 0;
   end Counter;
   protected body Counter is
      procedure Add (N : Integer) is
      begin
         Total := Total + N;
      end Add;
      entry Wait_For (N : Integer) when True is
      begin
         if Total < N then
            requeue Parked;
         end if;
      end Wait_For;
      entry Parked (N : Integer) when Total >= 400 is
      begin
         null;
      end Parked;
      function Value return Integer is (Total);
   end Counter;

   procedure Tasks is
      task type Worker is
         entry Start (N : Integer);
         entry Stop (Sum : out Integer);
      end Worker;
      task body Worker is
         Mine : Integer := 0;
         First : Integer;
      begin
         accept Start (N : Integer) do
            First := N;
         end Start;
         for I in 1 .. 100 loop
            begin
               if I mod 10 = First then
                  Mine := Mine + No_Node.Value;
               end if;
               Mine := Mine + I;
               Counter.Add (1);
            exception
               when others => Mine := Mine + 10_000;
            end;
         end loop;
         accept Stop (Sum : out Integer) do
            Sum := Mine;
         end Stop;
      end Worker;
      Workers : array (1 .. 4) of Worker;
      task Dying is
         entry Never;
      end Dying;
      task body Dying is
      begin
         select
            accept Never;
         or
            delay 60.0; --  It is met; a shorter delay would decide on a loaded machine.
            raise Program_Error;
         end select;
      end Dying;
      Sum : Integer;
   begin
      for I in Workers'Range loop
         Workers (I).Start (I);
      end loop;
      for I in Workers'Range loop
         Workers (I).Stop (Sum);
         Put_Line ("worker" & Integer'Image (Sum));
      end loop;
      for I in 1 .. 40 loop
         Counter.Add (1);
      end loop;
      Counter.Wait_For (400);
      Put_Line ("counter" & Integer'Image (Counter.Value));
      begin
         Dying.Never;
         Put_Line ("met");
         Dying.Never;
      exception
         when Tasking_Error => Put_Line ("tasking error");
      end;
      select
         delay 0.002;
         Put_Line ("aborted");
      then abort
         loop
            Sum := Opaque (Sum);
            delay 0.0;
         end loop;
      end select;
   end Tasks;

   procedure Deep_Task is
      task T with Storage_Size => 200_000;
      task body T is
      begin
         Try (7);
         Try (1);
      end T;
   begin
      null;
   end Deep_Task;

   procedure Library is
      use Ada.Numerics.Long_Elementary_Functions;
      M : Maps.Map;
      S : Unbounded_String;
   begin
      for I in 1 .. 1000 loop
         M.Include (I * 7919 mod 1009, To_Unbounded_String (Integer'Image (I)));
      end loop;
      for C in M.Iterate loop
         if Maps.Key (C) mod 100 = 0 then
            S := S & Maps.Element (C);
         end if;
      end loop;
      Put_Line (To_String (S) & Integer'Image (Integer (M.Length)));
      for I in 1 .. 5 loop
         Real_IO.Put (Sqrt (Long_Float (I)) + Sin (Long_Float (I)), Fore => 3, Aft => 10, Exp => 0);
      end loop;
      New_Line;
      Put_Line (Long_Long_Integer'Image (Long_Long_Integer'First) & Long_Float'Image (1.0 / 3.0));
      Put_Line (Integer'Image (Year (Time_Of (2024, 2, 29) + 86_400.0 * 365)));
   end Library;

begin
   for I in 0 .. 10 loop
      Try (I);
   end loop;
   Try (7);
   Try (1);
   Tasks;
   Deep_Task;
   Library;
   raise Program_Error with "unhandled";
end Faults;
