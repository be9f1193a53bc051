package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

var (
	localPath   = regexp.MustCompile(`(<localPath>)([^<]*)(</localPath>)`)
	noReference = regexp.MustCompile(`<returnval\b[^>]*></returnval>`)
	destSpec    = regexp.MustCompile(`(?s)<destSpec\b.*</destSpec>`)
)

// completeStorage does what an endpoint does with storage and the simulator does not: folders of
// datastores are there, browsing tells how large disks are, datastores can be removed from hosts,
// datastore clusters emptied and removed.
func (h *host) completeStorage(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "CreateNasDatastore":
		return rewritten(seen, h.referred(seen, next), func(body []byte) []byte {
			return localPath.ReplaceAllFunc(body, func(found []byte) []byte {
				parts := localPath.FindSubmatch(found)
				folder := filepath.Join(os.TempDir(), "nas", filepath.Base(string(parts[2])))
				_ = os.MkdirAll(folder, 0o700)
				return fmt.Appendf(nil, "%s%s%s", parts[1], folder, parts[3])
			})
		})
	case "CreateLocalDatastore":
		if method, err := seen.method(); err == nil {
			_ = os.MkdirAll(method.Body.(*types.CreateLocalDatastore).Path, 0o700)
		}
		return h.referred(seen, next)
	case "CopyVirtualDisk_Task":
		// The simulator looks for a descriptor in the data of the disk, too, if it is given one.
		return rewritten(seen, next, func(body []byte) []byte {
			return destSpec.ReplaceAll(body, nil)
		})
	case "RetrievePropertiesEx":
		return h.listMachines(seen, next)
	case "RemoveDatastore":
		return h.removeDatastore(seen)
	case "MoveIntoFolder_Task":
		return h.leavingPods(seen, next)
	case "Destroy_Task":
		return h.destroyPod(seen, next)
	}
	return next
}

func rewritten(seen *call, next http.Handler, rewrite func([]byte) []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := rewrite(seen.body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	})
}

// referred has the answer say which datastore a host was given, where another one had it already.
func (h *host) referred(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if noReference.Match(answer.Body.Bytes()) {
			own := h.context()
			reference := types.ManagedObjectReference{Type: "HostDatastoreSystem", Value: seen.object}
			system := own.Map.Get(reference).(*simulator.HostDatastoreSystem)
			last := system.Datastore[len(system.Datastore)-1]
			whole := noReference.ReplaceAll(answer.Body.Bytes(), fmt.Appendf(
				nil, `<returnval type="Datastore">%s</returnval>`, last.Value))
			answer.Body = bytes.NewBuffer(whole)
			answer.Header().Del("Content-Length")
		}
		replay(answer, w)
	})
}

func (h *host) taskOf(answer []byte) *simulator.Task {
	found := taskElement.FindSubmatch(answer)
	if found == nil {
		return nil
	}
	reference := types.ManagedObjectReference{Type: "Task", Value: string(found[1])}
	task, _ := h.service.Context.Map.Get(reference).(*simulator.Task)
	return task
}

// addCapacities has the results of a search say how large the disks are that it found.
func (h *host) addCapacities(results ...types.HostDatastoreBrowserSearchResults) {
	attached := map[string]int64{}
	own := h.context()
	for _, entity := range own.Map.All("VirtualMachine") {
		machine := entity.(*simulator.VirtualMachine)
		own.Map.WithLock(own, machine, func() {
			for _, device := range machine.Config.Hardware.Device {
				if disk, ok := device.(*types.VirtualDisk); ok {
					if file, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
						name := file.GetVirtualDeviceFileBackingInfo().FileName
						attached[name] = disk.CapacityInKB
					}
				}
			}
		})
	}
	for _, result := range results {
		var folder object.DatastorePath
		folder.FromString(result.FolderPath)
		datastore := own.Map.Get(*result.Datastore).(*simulator.Datastore)
		for _, file := range result.File {
			disk, ok := file.(*types.VmDiskFileInfo)
			if !ok {
				continue
			}
			inside := filepath.Join(folder.Path, disk.Path)
			if content, err := os.Open(filepath.Join(datastore.Summary.Url, inside)); err == nil {
				if descriptor, err := vmdk.ParseDescriptor(content); err == nil {
					disk.CapacityKb = descriptor.Capacity() / 1024
				}
				_ = content.Close()
			}
			// Growing the disk of a machine leaves the descriptor as it was.
			if size, ok := attached[fmt.Sprintf("[%s] %s", folder.Datastore, inside)]; ok {
				disk.CapacityKb = max(size, disk.CapacityKb)
			}
		}
	}
}

func (h *host) removeDatastore(seen *call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		method, err := seen.method()
		if err != nil {
			panic(err)
		}
		own := h.context()
		system := own.Map.Get(method.This).(*simulator.HostDatastoreSystem)
		reference := method.Body.(*types.RemoveDatastore).Datastore
		datastore, ok := own.Map.Get(reference).(*simulator.Datastore)
		if !ok {
			answerWithFault(w, &types.ManagedObjectNotFound{Obj: reference}, "as it is gone")
			return
		}
		if len(datastore.Vm) > 0 {
			raised := &types.ResourceInUse{Type: "Datastore", Name: datastore.Name}
			answerWithFault(w, raised, "by machines")
			return
		}
		own.Map.WithLock(own, datastore, func() { h.unmount(own, system, datastore) })
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		fmt.Fprintf(w, envelope, `<RemoveDatastoreResponse xmlns="urn:vim25"></RemoveDatastoreResponse>`)
	})
}

func (h *host) unmount(
	own *simulator.Context, system *simulator.HostDatastoreSystem, datastore *simulator.Datastore,
) {
	var left []types.DatastoreHostMount
	for _, mount := range datastore.Host {
		if mount.Key != system.Host.Self {
			left = append(left, mount)
		}
	}
	datastore.Host = left
	own.Map.RemoveReference(own, system, &system.Datastore, datastore.Self)
	own.Map.RemoveReference(own, system.Host, &system.Host.Datastore, datastore.Self)
	if len(left) > 0 {
		return
	}
	for _, entity := range own.Map.All("ComputeResource") {
		if compute, ok := entity.(*mo.ComputeResource); ok {
			own.Map.RemoveReference(own, compute, &compute.Datastore, datastore.Self)
		}
	}
	for _, entity := range own.Map.All("ClusterComputeResource") {
		compute := entity.(*simulator.ClusterComputeResource)
		own.Map.RemoveReference(own, compute, &compute.Datastore, datastore.Self)
	}
	h.takeOut(own, datastore)
	own.Map.Remove(own, datastore.Self)
}

// takeOut removes an object from the folder or datastore cluster that it lies in.
func (h *host) takeOut(own *simulator.Context, entity mo.Entity) {
	reference := entity.Reference()
	switch parent := own.Map.Get(*entity.Entity().Parent).(type) {
	case *simulator.Folder:
		own.Map.RemoveReference(own, parent, &parent.ChildEntity, reference)
	case *simulator.StoragePod:
		own.Map.RemoveReference(own, parent, &parent.ChildEntity, reference)
	}
}

// leavingPods moves datastores that lie in a datastore cluster to the folder that holds that one
// before anything else is done with them.
func (h *host) leavingPods(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method, err := seen.method(); err == nil {
			own := h.context()
			for _, reference := range method.Body.(*types.MoveIntoFolder_Task).List {
				datastore, ok := own.Map.Get(reference).(*simulator.Datastore)
				if !ok {
					continue
				}
				pod, ok := own.Map.Get(*datastore.Parent).(*simulator.StoragePod)
				if !ok {
					continue
				}
				folder := own.Map.Get(*pod.Parent).(*simulator.Folder)
				own.Map.WithLock(own, folder, func() {
					h.takeOut(own, datastore)
					own.Map.AddReference(own, folder, &folder.ChildEntity, reference)
					own.Update(datastore, []types.PropertyChange{{Name: "parent", Val: folder.Self}})
				})
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (h *host) destroyPod(seen *call, next http.Handler) http.Handler {
	method, err := seen.method()
	if err != nil || method.This.Type != "StoragePod" {
		return next
	}
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		own := h.context()
		pod := own.Map.Get(method.This).(*simulator.StoragePod)
		h.takeOut(own, pod)
		own.Map.Remove(own, pod.Self)
		h.finish(task, nil, nil)
		return nil
	})
}

// listMachines has datastores say which machines have files on them: the simulator forgets those
// that got a disk on one after they were made.
func (h *host) listMachines(seen *call, next http.Handler) http.Handler {
	if !bytes.Contains(seen.body, []byte("<type>Datastore</type>")) ||
		!bytes.Contains(seen.body, []byte("<pathSet>vm</pathSet>")) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := h.context()
		on := map[types.ManagedObjectReference][]types.ManagedObjectReference{}
		for _, entity := range own.Map.All("VirtualMachine") {
			machine := entity.(*simulator.VirtualMachine)
			own.Map.WithLock(own, machine, func() {
				for _, datastore := range machine.Datastore {
					on[datastore] = append(on[datastore], machine.Self)
				}
			})
		}
		for _, entity := range own.Map.All("Datastore") {
			datastore := entity.(*simulator.Datastore)
			own.Map.WithLock(own, datastore, func() { datastore.Vm = on[datastore.Self] })
		}
		next.ServeHTTP(w, r)
	})
}
