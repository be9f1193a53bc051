package main

import (
	"fmt"
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// completeSnapshots renames snapshots and describes them anew (VirtualMachineSnapshot.RenameSnapshot
// of the vSphere Web Services API), which the simulator cannot.
func (h *host) completeSnapshots(seen *call, next http.Handler) http.Handler {
	if seen.name != "RenameSnapshot" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		method, err := seen.method()
		if err != nil {
			panic(err)
		}
		own := h.context()
		request := method.Body.(*types.RenameSnapshot)
		snapshot, ok := own.Map.Get(method.This).(*simulator.VirtualMachineSnapshot)
		if !ok {
			answerWithFault(w, &types.ManagedObjectNotFound{Obj: method.This}, "as it is gone")
			return
		}
		machine := own.Map.Get(snapshot.Vm).(*simulator.VirtualMachine)
		own.Map.WithLock(own, machine, func() {
			if machine.Snapshot != nil {
				describe(machine.Snapshot.RootSnapshotList, request)
			}
		})
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		fmt.Fprintf(w, envelope, `<RenameSnapshotResponse xmlns="urn:vim25"></RenameSnapshotResponse>`)
	})
}

func describe(tree []types.VirtualMachineSnapshotTree, request *types.RenameSnapshot) {
	for i := range tree {
		if tree[i].Snapshot == request.This {
			if request.Name != "" {
				tree[i].Name = request.Name
			}
			tree[i].Description = request.Description
		}
		describe(tree[i].ChildSnapshotList, request)
	}
}
