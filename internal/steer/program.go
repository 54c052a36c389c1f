package steer

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A shard's slot in the map of loads is a cache line of its own:
//
//	 0  word      its load (upper half) and what it has accepted (lower half); written by the shard
//	 8  expected  what it will have accepted, once all that was steered to it has arrived
//	12  window    the number of the window in which that was last counted
//	16  mark      what was expected when that window began
//
// The load lags behind: a connection counts there once the shard has accepted it, a round
// trip after its SYN or more. Alone it would send all of a burst to the same shard. So the
// program counts what it steers, and a shard's score is its load and what is on the way,
// expected - accepted. Not every SYN becomes a connection: what was on the way before the
// last window began, and has not arrived, is given up. Connections that did not come by the
// program, but by the hash or to a shared address, are accepted without being expected;
// they are made up for with a new window. All counts are modulo 2^32. Programs on several
// CPUs may lose a count to each other: it is an estimate, and mends itself.
const (
	slotSize   = 64
	slotShift  = 6 // log2 of slotSize
	wordAt     = 0
	expectedAt = 8
	windowAt   = 12
	markAt     = 16
	windowBits = 29 // 2^29 ns: windows of 0.54 s, longer than most round trips
)

// allUpTo is the number of shards up to which the program looks at all of them. With more
// it compares two at random: each look is a cache line that another core has written.
const allUpTo = 16

// Registers over the whole program; R0 to R5 are scratch.
const (
	regContext = asm.R6
	regWindow  = asm.R7
	regRandom  = asm.R8
	regSlots   = asm.R9
)

// least is the program that selects the shard with the least score, by chance among equals.
// Where the socket of that shard is closed, the kernel's hash chooses.
//
// It does not ask for the connections that wait in the queue of a socket that is closed
// (BPF_SK_REUSEPORT_SELECT_OR_MIGRATE): until a fix of 2026 the kernel moved them without
// waking the new socket's owner, and a client that is reset tries again where one that
// hangs does not.
func least(loads, sockets, shards int) *ebpf.ProgramSpec {
	code := asm.Instructions{
		asm.Mov.Reg(regContext, asm.R1),
		asm.FnKtimeGetNs.Call(),
		asm.Mov.Reg(regWindow, asm.R0),
		asm.RSh.Imm(regWindow, windowBits),
		asm.Mov.Reg32(regWindow, regWindow), // as wide as in the slot
		asm.FnGetPrandomU32.Call(),
		asm.Mov.Reg(regRandom, asm.R0),
		asm.LoadMapValue(regSlots, loads, 0),
	}
	if shards <= allUpTo {
		code = append(code, bestOfAll(shards)...)
	} else {
		code = append(code, bestOfTwo(shards)...)
	}
	code = append(code, count()...)
	code = append(code, selectSocket(sockets)...)
	return &ebpf.ProgramSpec{Name: "holdfast_least", Type: ebpf.SkReuseport, Instructions: code, License: "Apache-2.0"}
}

// bestOfAll leaves the number of the shard with the least score in R2.
func bestOfAll(shards int) asm.Instructions {
	code := asm.Instructions{asm.Mov.Imm(asm.R1, -1), asm.Mov.Imm(asm.R2, 0)} // the best score, and whose
	for i := range shards {
		next := fmt.Sprint("next", i)
		code = append(code, asm.Mov.Reg(asm.R3, regSlots), asm.Add.Imm(asm.R3, int32(i*slotSize)))
		code = append(code, score(fmt.Sprint("scored", i))...)
		code = append(code,
			// Equal scores are told apart by 16 bits of a random sequence (Numerical Recipes).
			asm.Mul.Imm32(regRandom, 1664525),
			asm.Add.Imm32(regRandom, 1013904223),
			asm.Mov.Reg32(asm.R5, regRandom),
			asm.RSh.Imm(asm.R5, 16),
			asm.LSh.Imm(asm.R4, 16),
			asm.Or.Reg(asm.R4, asm.R5),
			asm.JGE.Reg(asm.R4, asm.R1, next),
			asm.Mov.Reg(asm.R1, asm.R4),
			asm.Mov.Imm(asm.R2, int32(i)),
			asm.Mov.Imm(asm.R0, 0).WithSymbol(next),
		)
	}
	return code
}

// bestOfTwo leaves the number of the less loaded one of two random shards in R2.
func bestOfTwo(shards int) asm.Instructions {
	code := asm.Instructions{
		// The first is random*shards/2^32.
		asm.Mov.Reg32(asm.R1, regRandom),
		asm.Mul.Imm(asm.R1, int32(shards)),
		asm.RSh.Imm(asm.R1, 32),
		asm.StoreMem(asm.RFP, -16, asm.R1, asm.DWord),
		asm.FnGetPrandomU32.Call(),
		asm.LoadMem(asm.R1, asm.RFP, -16, asm.DWord),
		// The second is one of the others.
		asm.Mov.Reg32(asm.R2, asm.R0),
		asm.Mul.Imm(asm.R2, int32(shards-1)),
		asm.RSh.Imm(asm.R2, 32),
		asm.JLT.Reg(asm.R2, asm.R1, "other"),
		asm.Add.Imm(asm.R2, 1),
		asm.Mov.Reg(asm.R3, asm.R1).WithSymbol("other"),
		asm.LSh.Imm(asm.R3, slotShift),
		asm.Add.Reg(asm.R3, regSlots),
	}
	code = append(code, score("first")...)
	code = append(code,
		asm.StoreMem(asm.RFP, -16, asm.R4, asm.DWord),
		asm.Mov.Reg(asm.R3, asm.R2),
		asm.LSh.Imm(asm.R3, slotShift),
		asm.Add.Reg(asm.R3, regSlots),
	)
	code = append(code, score("second")...)
	return append(code,
		asm.LoadMem(asm.R3, asm.RFP, -16, asm.DWord),
		asm.JLE.Reg(asm.R4, asm.R3, "chosen"),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("chosen"),
	)
}

// score leaves the score of the slot at R3 in R4. It uses R0 and R5. The label must be unique.
func score(label string) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R5, asm.R3, wordAt, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		// Nothing is on the way where nothing was steered in this window and the last.
		asm.LoadMem(asm.R4, asm.R3, windowAt, asm.Word),
		asm.Sub.Reg(asm.R4, regWindow),
		asm.Add.Imm(asm.R4, 1),
		asm.JGT.Imm(asm.R4, 1, label),
		asm.LoadMem(asm.R0, asm.R3, expectedAt, asm.Word),
		asm.Sub.Reg32(asm.R0, asm.R5),
		asm.JSGE.Imm32(asm.R0, 0, label),
		asm.Mov.Imm(asm.R0, 0),
		asm.RSh.Imm(asm.R5, 32).WithSymbol(label),
		asm.Mov.Reg(asm.R4, asm.R0),
		asm.Add.Reg(asm.R4, asm.R5),
	}
}

// count books one SYN for the shard in R2, which it leaves on the stack for selectSocket.
func count() asm.Instructions {
	return asm.Instructions{
		asm.StoreMem(asm.RFP, -4, asm.R2, asm.Word),
		asm.LSh.Imm(asm.R2, slotShift),
		asm.Add.Reg(regSlots, asm.R2),
		asm.LoadMem(asm.R1, regSlots, expectedAt, asm.Word),
		asm.LoadMem(asm.R2, regSlots, windowAt, asm.Word),
		asm.JEq.Reg(asm.R2, regWindow, "counted"),
		// A new window: R3 is what was expected when the last began, or now if that is
		// long ago. What of it has not been accepted is given up.
		asm.LoadMem(asm.R3, regSlots, markAt, asm.Word),
		asm.Add.Imm(asm.R2, 1),
		asm.JEq.Reg(asm.R2, regWindow, "marked"),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.LoadMem(asm.R5, regSlots, wordAt, asm.DWord).WithSymbol("marked"),
		asm.Sub.Reg32(asm.R3, asm.R5),
		asm.JSLE.Imm32(asm.R3, 0, "given up"),
		asm.Sub.Reg32(asm.R1, asm.R3),
		// Where more came than was expected, that is made up for.
		asm.Mov.Reg32(asm.R4, asm.R1).WithSymbol("given up"),
		asm.Sub.Reg32(asm.R4, asm.R5),
		asm.JSGE.Imm32(asm.R4, 0, "made up"),
		asm.Mov.Reg32(asm.R1, asm.R5),
		asm.StoreMem(regSlots, markAt, asm.R1, asm.Word).WithSymbol("made up"),
		asm.StoreMem(regSlots, windowAt, regWindow, asm.Word),
		asm.Add.Imm32(asm.R1, 1).WithSymbol("counted"),
		asm.StoreMem(regSlots, expectedAt, asm.R1, asm.Word),
	}
}

// selectSocket ends the program. Passing without having selected, since the place in the
// array is empty, leaves the choice to the kernel's hash; nothing is ever dropped here.
func selectSocket(sockets int) asm.Instructions {
	const pass = 1 // SK_PASS of linux/bpf.h
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, regContext),
		asm.LoadMapPtr(asm.R2, sockets),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -4),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkSelectReuseport.Call(),
		asm.Mov.Imm(asm.R0, pass),
		asm.Return(),
	}
}
