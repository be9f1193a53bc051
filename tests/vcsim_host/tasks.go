package main

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// held is a task that runs until it is released, and only then does what was asked for.
type held struct {
	task   *simulator.Task
	method *simulator.Method
}

// fail answers with a task that fails with the rule's fault instead of doing anything.
func fail(h *host, is *rule, seen *call, _ http.Handler) http.Handler {
	return h.answerWithTask(seen, func(task *simulator.Task, _ *simulator.Method) error {
		raised, err := is.decoded(seen)
		if err == nil {
			h.finish(task, nil, raised)
		}
		return err
	})
}

// hold answers with a task that runs until it is released.
func hold(h *host, _ *rule, seen *call, _ http.Handler) http.Handler {
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		h.held = append(h.held, &held{task, method})
		return nil
	})
}

// release has all held tasks do their work, and returns their number when it is done.
func (h *host) release() int {
	h.mutex.Lock()
	waiting := h.held
	h.held = nil
	h.mutex.Unlock()
	for _, each := range waiting {
		if done(h, each.task) {
			continue // cancelled
		}
		result, raised := h.invoke(each.method)
		h.finish(each.task, result, raised)
	}
	return len(waiting)
}

func (h *host) answerWithTask(
	seen *call, use func(*simulator.Task, *simulator.Method) error,
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		method, err := seen.method()
		if err != nil {
			panic(err)
		}
		task := h.newTask(method)
		if err := use(task, method); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		fmt.Fprintf(w, envelope, fmt.Sprintf(
			`<%sResponse xmlns="urn:vim25"><returnval type="Task">%s</returnval></%[1]sResponse>`,
			method.Name, task.Self.Value))
	})
}

// descriptions are those of a vCenter (TaskInfo.descriptionId) that do not follow from the method.
var descriptions = map[string]string{"CloneVM_Task": "clone"}

// newTask is a running task that nothing runs. Task.Run would hold its object's lock meanwhile.
func (h *host) newTask(method *simulator.Method) *simulator.Task {
	name, known := descriptions[method.Name]
	if !known {
		name = lowerFirst(strings.TrimSuffix(method.Name, "_Task"))
		name = strings.Replace(name, "VM", "Vm", 1)
	}
	task := simulator.CreateTask(method.This, name, nil)
	now := time.Now()
	task.Info.State, task.Info.StartTime = types.TaskInfoStateRunning, &now
	own := h.context()
	// Its object lists it, and is locked as it is during a call.
	own.Map.WithLock(own, method.This, func() { own.Map.Put(task) })
	h.update(task, []types.PropertyChange{
		{Name: "info.key", Val: task.Self.Value},
		{Name: "info.task", Val: task.Self},
	})
	return task
}

func (h *host) finish(task *simulator.Task, result any, raised types.BaseMethodFault) {
	state := types.TaskInfoStateSuccess
	var problem any
	if raised != nil {
		state = types.TaskInfoStateError
		problem = types.LocalizedMethodFault{
			Fault: raised, LocalizedMessage: fmt.Sprintf("%T", raised),
		}
	}
	h.update(task, []types.PropertyChange{
		{Name: "info.completeTime", Val: time.Now()},
		{Name: "info.state", Val: state},
		{Name: "info.result", Val: result},
		{Name: "info.error", Val: problem},
	})
}

func (h *host) update(task *simulator.Task, changes []types.PropertyChange) {
	own := h.context()
	own.Map.AtomicUpdate(own, task, changes)
}

func done(h *host, task *simulator.Task) bool {
	own := h.context()
	var state types.TaskInfoState
	own.Map.WithLock(own, task, func() { state = task.Info.State })
	return state == types.TaskInfoStateSuccess || state == types.TaskInfoStateError
}

// invoke carries out a call that starts a task, with what the simulator itself leaves out.
func (h *host) invoke(method *simulator.Method) (any, types.BaseMethodFault) {
	if method.Name == "CloneVM_Task" {
		return h.clone(method)
	}
	return h.carriedOut(method)
}

// carriedOut does what Service does with a call that starts a task, without asking for a session,
// and waits for the task.
func (h *host) carriedOut(method *simulator.Method) (any, types.BaseMethodFault) {
	own := h.context()
	object := own.Map.Get(method.This)
	if object == nil {
		return nil, &types.ManagedObjectNotFound{Obj: method.This}
	}
	name := strings.TrimSuffix(method.Name, "_Task") + "Task"
	function := reflect.ValueOf(object).MethodByName(name)
	arguments := []reflect.Value{reflect.ValueOf(method.Body)}
	if function.Type().NumIn() == 2 {
		arguments = append([]reflect.Value{reflect.ValueOf(own)}, arguments...)
	}
	var answer reflect.Value
	own.Map.WithLock(own, object, func() { answer = function.Call(arguments)[0] })
	if problem := answer.Interface().(soap.HasFault).Fault(); problem != nil {
		return nil, problem.Detail.Fault.(types.BaseMethodFault)
	}
	reference := answer.Elem().Elem().FieldByName("Res").Elem().FieldByName("Returnval")
	inner := own.Map.Get(reference.Interface().(types.ManagedObjectReference)).(*simulator.Task)
	inner.Wait()
	if inner.Info.Error != nil {
		return nil, inner.Info.Error.Fault
	}
	return inner.Info.Result, nil
}

func (seen *call) method() (*simulator.Method, error) {
	return simulator.UnmarshalBody(types.TypeFunc(), seen.body)
}
